"""Hosts whose calls differ from VQGAN's: keywords alone, residuals, faces, tuples of outputs, videos.

Each is a loss of ours with the published signature, as `regionloss/hosts/presets.py` says of its file.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regionloss as rl
from tests.helpers import images, text_loss, text_regions
from tests.hosts.doubles import CODES, Adversarial
from tests.hosts.test_known_hosts import ALPHA, make_terms

PIXELS = 3 * 40 * 48


class Sgm(Adversarial):
    def forward(self, inputs, reconstructions, *, regularization_log, optimizer_idx, global_step, last_layer,
                split="train", weights=None):  # fmt: skip
        if inputs.ndim == 5:
            inputs, reconstructions = (x.transpose(1, 2).flatten(0, 1) for x in (inputs, reconstructions))
        if optimizer_idx == 1:
            return self.critic(inputs, reconstructions), {f"{split}/loss/disc": torch.zeros(())}
        loss = (inputs - reconstructions).abs().sum() / len(inputs)
        return loss + regularization_log["kl_loss"], {f"{split}/loss/total": loss.detach()}


class VaVae(Adversarial):
    def __init__(self, pp_style: bool = False) -> None:
        super().__init__()
        self.pp_style = pp_style

    def forward(self, inputs, reconstructions, posteriors, optimizer_idx, global_step, last_layer=None, cond=None,
                split="train", weights=None, z=None, aux_feature=None, enc_last_layer=None):  # fmt: skip
        if optimizer_idx == 1:
            return self.critic(inputs, reconstructions), {}
        error = (inputs - reconstructions).abs()
        return (error.mean() if self.pp_style else error.sum() / len(inputs)) + posteriors.kl(), {}


class XqGan(Adversarial):
    def forward(self, codebook_loss, sem_loss, detail_loss, dependency_loss, inputs, reconstructions, optimizer_idx,
                global_step, last_layer=None, logger=None, log_every=100, fade_blur_schedule=0):  # fmt: skip
        if optimizer_idx == 0:
            return self.generator(inputs, reconstructions, last_layer)[0] + codebook_loss[0] + (sem_loss or 0)
        return self.critic(inputs, reconstructions)


class Rda(Adversarial):
    def forward(self, codebook_loss, inputs, reconstructions, gt_img, sum_recons, optimizer_idx, global_step,
                last_layer=None, logger=None, log_every=100):  # fmt: skip
        if optimizer_idx == 0:
            loss, nll = self.generator(inputs, reconstructions, last_layer)
            return loss + (gt_img - sum_recons).pow(2).mean(), nll, codebook_loss[0]
        return self.critic(gt_img, sum_recons), nll_of(gt_img), nll_of(sum_recons)


def nll_of(image: Tensor) -> Tensor:
    return image.detach().mean()


class RestoreFormer(Adversarial):
    def forward(self, codebook_loss, gts, reconstructions, components, optimizer_idx, global_step, last_layer=None,
                split="train"):  # fmt: skip
        if optimizer_idx == 0:
            return self.generator(gts, reconstructions, last_layer)[0], {f"{split}/quant_loss": codebook_loss.detach()}
        if optimizer_idx == 1:
            return self.critic(gts, reconstructions), {}
        return self.discriminator(components["mouths"]).mean(), {}


class VfmTok(Adversarial):
    def forward(self, codebook_loss, inputs, outputs, optimizer_idx, global_step, last_layer=None, logger=None,
                log_every=100):  # fmt: skip
        reconstructions, latent, features = outputs
        if optimizer_idx == 0:
            similar = (latent - features).pow(2).mean()
            return self.generator(inputs, reconstructions, last_layer)[0] + similar, similar
        return self.critic(inputs, reconstructions)


POSTERIOR = SimpleNamespace(kl=lambda: torch.tensor(0.25))
LATENTS = torch.zeros(3, 4, 8), torch.ones(3, 4, 8)

Call = Callable[[nn.Module, Tensor, Tensor, int], Any]
HOSTS: dict[str, tuple[Callable[[], nn.Module], Call, float]] = {
    "sgm": (
        Sgm,
        lambda loss, x, y, turn: loss(
            x, y, regularization_log={"kl_loss": torch.tensor(0.1)}, optimizer_idx=turn, global_step=5, last_layer=None
        ),
        PIXELS,
    ),
    "va-vae": (VaVae, lambda loss, x, y, turn: loss(x, y, POSTERIOR, turn, 5, last_layer=None), PIXELS),
    "va-vae, pp_style": (lambda: VaVae(True), lambda loss, x, y, turn: loss(x, y, POSTERIOR, turn, 5), 1),
    "xq-gan": (
        XqGan,
        lambda loss, x, y, turn: loss(CODES, None, None, None, x, y, optimizer_idx=turn, global_step=5),
        1,
    ),
    "rda": (
        Rda,
        lambda loss, x, y, turn: loss(CODES, x * 0, y * 0, x, y, optimizer_idx=turn, global_step=5),
        1,
    ),
    "restoreformer": (
        RestoreFormer,
        lambda loss, x, y, turn: loss(torch.tensor(0.1), x, y, {"mouths": y}, turn, 5, split="train"),
        1,
    ),
    "vfmtok": (VfmTok, lambda loss, x, y, turn: loss(CODES, x, (y, *LATENTS), optimizer_idx=turn, global_step=5), 1),
}


def value_of(output: Any) -> Tensor:
    found: Tensor = output[0] if isinstance(output, tuple) else output
    return found.detach()


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("name", HOSTS)
def test_the_value_is_the_hosts_plus_alpha_times_the_term_in_the_hosts_units(name: str, by_name: bool) -> None:
    make, call, units = HOSTS[name]
    host = make()
    wrapped = rl.wrap(host, name.split(",")[0] if by_name else "auto", make_terms())
    target, made = images(3, dtype=torch.float32), images(3, dtype=torch.float32, seed=1).requires_grad_()
    with rl.use_regions(text_regions()):
        after = call(wrapped, target, made, 0)
        critic = call(wrapped, target, made, 1)
    term = ALPHA * text_loss()(made, target, text_regions()).detach()
    torch.testing.assert_close(
        value_of(after), value_of(call(host, target, made, 0)) + units * term, atol=1e-6, rtol=1e-6
    )
    assert torch.equal(value_of(critic), value_of(call(host, target, made, 1)))
    assert type(after) is type(call(host, target, made, 0))


def test_other_turns_of_a_restorers_discriminators_take_no_terms() -> None:
    wrapped = rl.wrap(RestoreFormer(), "restoreformer", make_terms())
    x = images(3, dtype=torch.float32)
    with rl.use_regions(text_regions()):
        for turn in (2, 3, 4):
            wrapped(torch.tensor(0.1), x, x, {"mouths": x}, turn, 5)
            assert wrapped.last_logs == {}


@pytest.mark.parametrize(
    ("place", "outputs"),
    [
        ("outputs[0]", lambda y: (y, None)),
        ("outputs[-1]", lambda y: [None, y]),
        ("outputs['image']", lambda y: {"image": y}),
        ("outputs.sample", lambda y: SimpleNamespace(sample=y)),
        ("outputs['made'][1].sample", lambda y: {"made": (0, SimpleNamespace(sample=y))}),
        ("outputs[0]", lambda y: ([y, y],)),
    ],
)
def test_a_reconstruction_is_an_element_of_what_a_model_returned(place: str, outputs: Callable[[Tensor], Any]) -> None:
    class Host(nn.Module):
        def forward(self, batch: Any, outputs: Any) -> Tensor:
            return torch.ones(())

    wrapped = rl.wrap(Host(), rl.HostSpec("batch['x']", place), make_terms())
    x, y = images(3, dtype=torch.float32), images(3, dtype=torch.float32, seed=1)
    with rl.use_regions(text_regions()):
        found = wrapped({"x": x}, outputs(y))
    torch.testing.assert_close(found, 1 + ALPHA * text_loss()(y, x, text_regions()))


def test_an_element_that_is_not_there_is_told() -> None:
    class Host(nn.Module):
        def forward(self, x: Any, outputs: Any) -> Tensor:
            return torch.ones(())

    wrapped = rl.wrap(Host(), rl.HostSpec("x", "outputs[3]"), make_terms())
    x = images(3, dtype=torch.float32)
    part = r"Host: outputs\[3\]: expected images there, got a tuple without 3"
    with rl.use_regions(text_regions()), pytest.raises(rl.RegionLossError, match=part):
        wrapped(x, (x,))
    part = "expected parameters x, output, got none named output"
    with pytest.raises(rl.RegionLossError, match=part):
        rl.wrap(Host(), rl.HostSpec("x", "output[0]"), make_terms())
    for wrong in ("outputs[", "outputs[0", "0[outputs]", "outputs[x]", "outputs()", "outputs[0] + x"):
        with pytest.raises(rl.RegionLossError, match="an element such as"):
            rl.HostSpec("x", wrong)


def test_videos_are_read_as_the_images_of_their_frames() -> None:
    """Against a loop over clips and frames."""
    clips, made = (torch.stack([images(3, dtype=torch.float32, seed=s + k) for k in (0, 1)], 0) for s in (0, 7))
    boxes = torch.tensor([[2.0, 3, 30, 13], [5, 5, 20, 30]])
    regions = rl.Regions("text", boxes, torch.tensor([1, 5]), (40, 48), 6)  # frames 1 of clip 0 and 2 of clip 1
    wrapped = rl.wrap(Sgm(), "sgm", make_terms())
    keys = {"regularization_log": {"kl_loss": 0.0}, "optimizer_idx": 0, "global_step": 1, "last_layer": None}
    x, y = clips.transpose(1, 2), made.transpose(1, 2)  # (B, 3, T, H, W)
    with rl.use_regions(regions):
        found, _ = wrapped(x, y, **keys)
    term = torch.zeros(())
    for clip in range(2):
        for frame in range(3):
            own = regions.of_image(clip * 3 + frame)
            term = term + text_loss()(y[clip : clip + 1, :, frame], x[clip : clip + 1, :, frame], own) / 6
    plain, _ = Sgm()(x, y, **keys)
    torch.testing.assert_close(found, plain + PIXELS * ALPHA * term, atol=1e-4, rtol=1e-6)
    finder = rl.RegionFinder("whole-image")
    assert len(finder(x.clamp(-1, 1))["whole_image"]) == 6
