"""The tokenizer's interface: sizes, options, freezing, memory format, and that it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from insighttok_ref.tokenizers.base import Tokenizer
from insighttok_ref.tokenizers.insighttok.blocks import ResidualBlock
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from regionloss.errors import InputError, UnknownNameError

TINY: dict[str, Any] = {
    "ch": 16,
    "ch_mult": (1, 2),
    "num_res_blocks": 1,
    "attn_resolutions": (),
    "z_channels": 16,
    "code_dim": 8,
    "codebook_size": 32,
    "norm_groups": 8,
}


def tiny(**options: Any) -> InsightTokenizer:
    torch.manual_seed(0)
    return InsightTokenizer(**{**TINY, **options})


def images(batch: int = 2, height: int = 16, width: int = 24) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_fits_the_protocol() -> None:
    model = tiny()
    assert isinstance(model, Tokenizer)
    assert model.codebook.shape == (32, 8)
    assert model.last_layer is model.decoder.conv_out.weight


@pytest.mark.parametrize(("patch_size", "factor"), [(1, 2), (2, 4), (4, 8)])
def test_encode_and_decode_agree_with_forward(patch_size: int, factor: int) -> None:
    model, x = tiny(patch_size=patch_size).eval(), images()
    rec, commit, ids, *_ = model(x)
    assert model.downsampling == factor
    assert model.grid((16, 24)) == (16 // factor, 24 // factor)
    assert ids.shape == (2, 16 * 24 // factor**2)
    assert rec.shape == x.shape
    assert commit.shape == ()
    assert torch.equal(model.encode(x), ids)
    torch.testing.assert_close(model.decode(ids, model.grid((16, 24))), rec, atol=1e-5, rtol=0)


def test_encode_learns_nothing_in_train_mode() -> None:
    model = tiny().train()
    model.encode(images())
    with pytest.raises(InputError, match="expected a training forward"):
        model.quantize.update()


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((1, 3, 30, 24), r"images: expected sides that are multiples of 4, got 30 x 24\. .* to 32 x 24\."),
        ((1, 1, 16, 16), r"images: expected a shape \(B, 3, H, W\), got \(1, 1, 16, 16\)"),
        ((3, 16, 16), r"images: expected a shape \(B, 3, H, W\)"),
        ((1, 3, 0, 16), r"multiples of 4, got 0 x 16"),
    ],
)
def test_unfit_images_are_refused(shape: tuple[int, ...], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        tiny(patch_size=2)(torch.zeros(shape))


def test_unfit_ids_are_refused() -> None:
    model = tiny()
    with pytest.raises(InputError, match=r"ids: expected a shape \(B, 6\) for a grid of 2 x 3, got \(1, 5\)"):
        model.decode(torch.zeros(1, 5, dtype=torch.int64), (2, 3))
    with pytest.raises(InputError, match=r"ids: expected values from 0 to 31, got 0 to 32"):
        model.decode(torch.tensor([[0, 32]]), (1, 2))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"norm_groups": 32}, r"norm_groups: expected a divisor of every width \[16, 32\], got 32"),
        ({"ch_mult": ()}, "ch_mult: expected at least one multiplier"),
        ({"quantizer": {"restrat": "off"}}, r"restrat: expected a known key, got 'restrat'\. Did you mean 'restart'"),
    ],
)
def test_unfit_options_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        tiny(**options)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'insighttok-426m'"):
        InsightTokenizer.from_preset("insighttok-426")
    with pytest.raises(UnknownNameError, match="Did you mean 'encoder'"):
        tiny().set_trainable({"encodr"})


@pytest.mark.parametrize(("parts", "came"), [([], "none"), (["quantizer"], "'quantizer' alone")])
def test_something_must_learn(parts: list[str], came: str) -> None:
    model = tiny()
    with pytest.raises(InputError, match=f"expected 'encoder' or 'decoder' among the parts that learn, got {came}"):
        model.set_trainable(parts)
    assert all(p.requires_grad for p in model.parameters())


def test_only_the_wanted_parts_learn() -> None:
    model = tiny().train()
    model.set_trainable({"decoder"})
    codes = model.codebook
    rec, _, _, *_ = model(images())
    rec.mean().backward()
    model.quantize.update()
    learning = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert learning == {"decoder", "post_quant_conv"}
    assert torch.equal(model.codebook, codes)
    model.set_trainable({"encoder", "quantizer", "decoder"})
    assert all(p.requires_grad for p in model.parameters())
    assert not model.quantize.frozen


def test_channels_last_changes_no_number() -> None:
    plain, other = tiny(), tiny(channels_last=True)
    assert other.encoder.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(other(images())[0], plain(images())[0], atol=1e-5, rtol=0)
    assert other.fingerprint == plain.fingerprint


def test_checkpointing_recomputes_and_changes_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    forward = ResidualBlock.forward

    def counted(self: ResidualBlock, x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return forward(self, x)

    monkeypatch.setattr(ResidualBlock, "forward", counted)
    grads = []
    for checkpointing, wanted in ((False, 10), (True, 20)):
        model, calls = tiny(checkpointing=checkpointing), 0
        model(images())[0].square().mean().backward()
        assert calls == wanted
        grads.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("parts", [("encoder", "quantizer", "decoder"), ("decoder",)])
def test_checkpointing_repeats_the_step_bit_for_bit(bf16: bool, parts: tuple[str, ...]) -> None:
    """Also with dropout, and where an adaptive weight asks for gradients at the last layer first."""
    runs = []
    for checkpointing in (False, True):
        model = tiny(checkpointing=checkpointing, dropout=0.1, attn_resolutions=(128,))
        model.set_trainable(parts)
        torch.manual_seed(3)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            rec, commit, ids, *_ = model(images())
        losses = (rec.float() - images()).abs().mean(), rec.float().square().mean()
        first, second = (torch.autograd.grad(loss, model.last_layer, retain_graph=True)[0] for loss in losses)
        total = losses[0] + first.norm() / second.norm() * losses[1] + commit
        total.backward()
        grads = [p.grad for p in model.parameters() if p.requires_grad]
        model.quantize.update()
        runs.append([total.detach(), ids, model.codebook, *grads])
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_optimizers_do_not_reach_the_codebook() -> None:
    model = tiny()
    before = {key: value.clone() for key, value in model.quantize.state_dict().items()}
    rec, commit, _, *_ = model.eval()(images())
    (rec.mean() + commit).backward()
    torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=0.5).step()
    assert not list(model.quantize.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.quantize.state_dict().items())


def test_fingerprint_follows_what_decides_ids_and_images() -> None:
    model = tiny()
    before = model.fingerprint
    assert tiny().fingerprint == before
    model.quantize.cluster_size.add_(1)
    model.quantize.codebook_used.add_(1)
    assert model.fingerprint == before
    model.quantize.embedding.weight[3, 2] += 1e-3
    assert model.fingerprint != before
    assert tiny(norm_groups=4).fingerprint != before
    assert tiny(quantizer={"l2_normalize": False}).fingerprint != before


def test_flops_of_the_full_model_are_those_of_table_11() -> None:
    with torch.device("meta"):
        model = InsightTokenizer().eval()
        x = torch.zeros(1, 3, 256, 256)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    assert counter.get_total_flops() / 1e9 == pytest.approx(2575.24, abs=0.01)


def train(model: InsightTokenizer, steps: int, x: Tensor | None = None) -> list[float]:
    optimizer = torch.optim.Adam(model.parameters(), 3e-3, betas=(0.5, 0.9))
    x, losses = images(8) if x is None else x, []
    for _ in range(steps):
        rec, commit, _, *_ = model(x)
        loss = (rec - x).abs().mean() + commit
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.quantize.update()
        losses.append(loss.item())
    return losses


def test_miniature_preset_learns() -> None:
    torch.manual_seed(0)
    model = InsightTokenizer.from_preset("miniature")
    assert model.grid((48, 48)) == (12, 12)
    assert sum(p.numel() for p in model.parameters()) < 1_000_000
    x = images(8, 48, 48)
    losses = train(model, 6, x)
    assert losses[-1] < losses[0]


def test_training_lowers_the_loss() -> None:
    model = tiny(quantizer={"init": "data"})
    losses = train(model, 40)
    assert losses[-1] < 0.8 * losses[0]
    assert model.quantize.stats()["perplexity"] > 4


def test_a_state_dict_carries_the_whole_model() -> None:
    """Trained on from the same weights and random state, the copy repeats the original bit for bit."""
    model = tiny()
    train(model, 3)
    copy = tiny(quantizer={"init": "data"})
    copy.load_state_dict(model.state_dict())
    assert copy.fingerprint == model.fingerprint
    runs = []
    for each in (model, copy):
        torch.manual_seed(5)
        runs.append((train(each, 3), each.state_dict()))
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(value, runs[1][1][key]) for key, value in runs[0][1].items())


def test_bfloat16_autocast() -> None:
    model = tiny()
    with torch.autocast("cpu", torch.bfloat16):
        rec, commit, _, *_ = model(images())
    (rec.float().mean() + commit).backward()
    assert commit.dtype == torch.float32
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
