"""The discriminator against its published counts, LeCAM and the adaptive weight against closed forms."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch.utils.flop_counter import FlopCounterMode

from insighttok_ref.objective.adversarial import AdversarialOptions, Adversary, PatchGAN, adaptive_weight
from insighttok_ref.objective.lecam import LeCAM
from regionloss.errors import InputError


def number(value: torch.Tensor) -> float:
    return float(value.detach())


def small(**options: object) -> Adversary:
    torch.manual_seed(0)
    return Adversary(AdversarialOptions.model_validate({"ndf": 4, "layers": 2, "norm": "group", **options}))


def images(side: int = 16, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    made = torch.rand(2, 2, 3, side, side, generator=torch.Generator().manual_seed(1), dtype=dtype) * 2 - 1
    return made[0], made[1]


def test_patchgan_has_the_weights_shape_and_cost_of_table_11() -> None:
    network = PatchGAN().eval()
    assert sum(weight.numel() for weight in network.parameters()) == 2_765_633
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert network(torch.zeros(1, 3, 256, 256)).shape == (1, 1, 30, 30)
    assert counter.get_total_flops() / 1e9 == pytest.approx(6.294, abs=5e-4)


def test_weights_are_drawn_as_pix2pix_draws_them() -> None:
    torch.manual_seed(0)
    network = PatchGAN()
    convolutions = [m for m in network if isinstance(m, torch.nn.Conv2d)]
    norms = [m for m in network if isinstance(m, torch.nn.BatchNorm2d)]
    assert [c.stride[0] for c in convolutions] == [2, 2, 2, 1, 1]
    assert [c.bias is None for c in convolutions] == [False, True, True, True, False]
    assert number(convolutions[3].weight.std()) == pytest.approx(0.02, rel=0.01)
    assert number(norms[2].weight.mean()) == pytest.approx(1, abs=0.005)
    assert number(norms[2].weight.std()) == pytest.approx(0.02, rel=0.15)


def test_patchgan_is_what_pix2pix_writes() -> None:
    """Against convolutions, batch statistics and leaky ramps written out; the slopes are far from one another."""
    torch.manual_seed(0)
    network = PatchGAN(3, 2).double()
    x = images(24, torch.float64)[0]
    weights = list(network.parameters())
    for weight in weights:
        weight.data.mul_(10)

    def ramp(values: torch.Tensor) -> torch.Tensor:
        return torch.where(values > 0, values, values * 0.2)

    made = ramp(torch.conv2d(x, weights[0], weights[1], 2, 1))
    for kernel, scale, shift, stride in ((*weights[2:5], 2), (*weights[5:8], 1)):
        made = torch.conv2d(made, kernel, None, stride, 1)
        spread = (made - made.mean((0, 2, 3), keepdim=True)) / (made.var((0, 2, 3), False, keepdim=True) + 1e-5).sqrt()
        made = ramp(spread * scale[:, None, None] + shift[:, None, None])
    torch.testing.assert_close(network(x), torch.conv2d(made, weights[8], weights[9], 1, 1))


def test_group_norm_knows_no_batch() -> None:
    network = PatchGAN(12, 2, "group")
    x, _ = images()
    apart = torch.cat([network(x[:1]), network(x[1:])])
    torch.testing.assert_close(network(x), apart)


def test_small_images_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected images of 24 pixels a side or more, got 64 x 16"):
        PatchGAN(4)(torch.zeros(1, 3, 64, 16))
    assert PatchGAN(4)(torch.zeros(2, 3, 24, 24)).shape == (2, 1, 1, 1)


def test_hinge_and_parts_equal_a_loop_over_logits() -> None:
    adversary, (y, x) = small(lecam=0.3), images()
    with torch.no_grad():
        for weight in adversary.parameters():
            weight.mul_(20)  # so that some logits are beyond the hinge
        fake, real = (adversary.discriminator(i).flatten().tolist() for i in (y, x))
    assert min(fake) < -1 or max(real) > 1
    hinge = 0.5 * (sum(max(0, 1 - r) for r in real) / len(real) + sum(max(0, 1 + f) for f in fake) / len(fake))
    mean_real, mean_fake = sum(real) / len(real), sum(fake) / len(fake)
    lecam = max(0, mean_real) ** 2 + max(0, -mean_fake) ** 2
    losses = adversary.discriminator_loss(y, x)
    wanted = {"discriminator": hinge, "lecam": lecam, "logits_real": mean_real, "logits_fake": mean_fake}
    assert {name: number(v) for name, v in losses.parts.items()} == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert number(losses.total) == pytest.approx(hinge + 0.3 * lecam, rel=1e-4)
    assert number(adversary.generator_loss(y)) == pytest.approx(-mean_fake, rel=1e-4)


def test_gradients_never_leak_either_way() -> None:
    adversary, (y, x) = small(norm="batch"), images()
    y.requires_grad_(True)
    adversary.generator_loss(y).backward()
    assert y.grad is not None
    assert y.grad.abs().sum() > 0
    assert all(weight.grad is None and weight.requires_grad for weight in adversary.parameters())
    y.grad = None
    adversary.discriminator_loss(y, x).total.backward()
    assert y.grad is None
    assert all(weight.grad is not None for weight in adversary.parameters())


def test_generator_loss_has_the_gradient_of_finite_differences() -> None:
    adversary = small(layers=1).double()
    y, _ = images(8, torch.float64)
    assert torch.autograd.gradcheck(adversary.generator_loss, y[:1].requires_grad_(True))


def test_lecam_uses_its_averages_then_moves_them_and_resumes(tmp_path: Path) -> None:
    lecam = LeCAM(0.9)
    assert number(lecam(torch.tensor(2.0), torch.tensor(-1.0))) == pytest.approx(2**2 + 1**2)
    lecam.update()
    assert (number(lecam.real), number(lecam.fake)) == pytest.approx((0.2, -0.1))
    second = lecam(torch.tensor(1.0), torch.tensor(-3.0))
    assert number(second) == pytest.approx((1 + 0.1) ** 2 + (0.2 + 3) ** 2)
    lecam.update()
    assert (number(lecam.real), number(lecam.fake)) == pytest.approx((0.28, -0.39))
    torch.save(lecam.state_dict(), tmp_path / "lecam.pt")
    other = LeCAM(0.9)
    other.load_state_dict(torch.load(tmp_path / "lecam.pt", weights_only=True))
    third = torch.tensor(0.5), torch.tensor(0.5)
    assert torch.equal(other(*third), lecam(*third))
    for one in (other, lecam):
        one.eval()(torch.tensor(9.0), torch.tensor(9.0))  # says nothing
        one.update()
    assert torch.equal(other.real, lecam.real)


def test_lecam_moves_once_a_step_however_many_micro_batches_it_has() -> None:
    whole, cut = LeCAM(0.9), LeCAM(0.9)
    whole(torch.tensor(2.0), torch.tensor(-1.0))
    parts = [cut(torch.tensor(real), torch.tensor(fake)) for real, fake in ((1.0, -3.0), (3.0, 1.0))]
    assert [number(part) for part in parts] == [1 + 9, 9 + 0]  # neither moves what the other is compared with
    for one in (whole, cut):
        one.update()
    assert (number(cut.real), number(cut.fake)) == (number(whole.real), number(whole.fake))


def test_adaptive_weight_equals_the_ratio_by_hand() -> None:
    layer = torch.tensor([3.0, 4.0], requires_grad=True)
    pixels, heard = (layer**2).sum(), 0.1 * layer.sum()  # gradients (6, 8) and (0.1, 0.1)
    wanted = 10 / (0.02**0.5 + 1e-4)
    weight = adaptive_weight(pixels, heard, layer, 1e4)
    assert number(weight) == pytest.approx(wanted, rel=1e-5)
    assert not weight.requires_grad
    assert number(adaptive_weight(pixels, heard, layer, 5.0)) == 5
    assert number(adaptive_weight(pixels, heard * 0, layer, 1e4)) == 1e4


def test_bad_options_are_sentences() -> None:
    with pytest.raises(ValidationError, match=r"expected listen_from at learn_from \(5\) or later, got 4"):
        AdversarialOptions(learn_from=5, listen_from=4)
    with pytest.raises(ValidationError, match="'batch', 'sync' or 'group'"):
        AdversarialOptions.model_validate({"norm": "layer"})
    with pytest.raises(ValidationError, match="greater than 0"):
        AdversarialOptions(weight=0)
