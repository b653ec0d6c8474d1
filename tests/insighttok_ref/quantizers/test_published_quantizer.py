"""The quantizer alone against the published code's numbers (tests/golden/insighttok/README.md)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from insighttok_ref.quantizers.ema import EMAQuantizer

# The published runs have 16 codes and 6 or 30 tokens an update.
pytestmark = pytest.mark.filterwarnings("ignore:quantizer. .* tokens per code and update")

STATISTICS = {"atol": 1e-5, "rtol": 0.0}


class Scripted(EMAQuantizer):
    """Draws what the published run drew."""

    permutations: list[Tensor]
    noise: Tensor

    def draw_permutation(self, count: int) -> Tensor:
        drawn = self.permutations.pop(0)
        assert len(drawn) == count
        return drawn

    def draw_noise(self) -> Tensor:
        return self.noise[: self.codebook_size]


@pytest.fixture(params=["l2", "nol2"])
def norm(request: pytest.FixtureRequest) -> str:
    return request.param


def build(golden: Any, norm: str, restart: str = "off") -> Scripted:
    options: dict[str, Any] = {"restart": restart, "restart_threshold": 1.0, "l2_normalize": norm == "l2"}
    quantizer = Scripted(16, 8, **options)
    quantizer.embedding.weight.copy_(golden["in/E0"])
    quantizer.embed_avg.copy_(golden["in/A0"])
    quantizer.cluster_size.copy_(golden["in/C0"])
    return quantizer


def check(quantizer: EMAQuantizer, golden: Any, key: str) -> None:
    for name in ("cluster_size", "embed_avg"):
        torch.testing.assert_close(getattr(quantizer, name), golden[f"{key}/{name}"], **STATISTICS)
    torch.testing.assert_close(quantizer.embedding.weight, golden[f"{key}/embedding"], **STATISTICS)


def test_forward_and_gradients(golden_quantizer: Any, norm: str) -> None:
    quantizer = build(golden_quantizer, norm)
    z = golden_quantizer["in/Z0"].requires_grad_()
    z_q, commit, ids = quantizer(z)
    whole, alone = (sum_.clone() for sum_ in ((z_q * golden_quantizer["in/W"]).sum() + commit, commit))
    key = f"{norm}/fwd"
    torch.testing.assert_close(z_q, golden_quantizer[f"{key}/z_q"], **STATISTICS)
    torch.testing.assert_close(commit, golden_quantizer[f"{key}/commit"], **STATISTICS)
    assert torch.equal(ids.flatten(), golden_quantizer[f"{key}/indices"])
    (grad,) = torch.autograd.grad(whole, z, retain_graph=True)
    torch.testing.assert_close(grad, golden_quantizer[f"{key}/grad_z"], **STATISTICS)
    (grad,) = torch.autograd.grad(alone, z)
    torch.testing.assert_close(grad, golden_quantizer[f"{key}/grad_z_commit_only"], atol=1e-7, rtol=1e-4)
    stats = quantizer.stats()
    torch.testing.assert_close(stats["perplexity"], golden_quantizer[f"{key}/perplexity"], atol=1e-4, rtol=0)
    torch.testing.assert_close(stats["usage"], golden_quantizer[f"{key}/usage"], **STATISTICS)
    tail = golden_quantizer[f"{key}/codebook_used_tail"]
    assert torch.equal(quantizer.codebook_used[-32:], tail.float())
    quantizer.eval()
    torch.testing.assert_close(quantizer(z)[0], golden_quantizer[f"{norm}/eval/z_q"], **STATISTICS)


def test_two_updates(golden_quantizer: Any, norm: str) -> None:
    quantizer = build(golden_quantizer, norm)
    for turn in (0, 1):
        quantizer(golden_quantizer[f"in/Z{turn}"])
        quantizer.update()
        check(quantizer, golden_quantizer, f"{norm}/ema{turn + 1}")


def test_micro_batches_accumulate(golden_quantizer: Any, norm: str) -> None:
    halves, whole = build(golden_quantizer, norm), build(golden_quantizer, norm)
    batches = [golden_quantizer["in/Z0"], golden_quantizer["in/Z1"]]
    for batch in batches:
        halves(batch)
    whole(torch.cat(batches))
    for quantizer, key in ((halves, "accum_2micro"), (whole, "accum_concat")):
        quantizer.update()
        check(quantizer, golden_quantizer, f"{norm}/{key}")
    assert torch.equal(halves.embedding.weight, whole.embedding.weight)


def test_restart_in_four_rounds(golden_quantizer: Any, norm: str) -> None:
    quantizer = build(golden_quantizer, norm, "random")
    quantizer.permutations = [golden_quantizer[f"{norm}/restart/perm{turn}"] for turn in range(4)]
    for turn in range(4):
        quantizer(golden_quantizer[f"in/Z{turn}"])
        quantizer.update()
        key = f"{norm}/restart/step{turn}"
        check(quantizer, golden_quantizer, key)
        dead = golden_quantizer[f"{key}/dead"].bool()
        assert 0 < dead.sum() < 16
        assert torch.equal(quantizer.cluster_size < 1, dead)
        assert quantizer.stats()["dead_codes"] == dead.float().mean()


def test_restart_pools_the_micro_batches(golden_quantizer: Any, norm: str) -> None:
    quantizer = build(golden_quantizer, norm, "random")
    quantizer.permutations = [golden_quantizer[f"{norm}/restart_accum/perm0"]]
    quantizer(golden_quantizer["in/Z0"])
    quantizer(golden_quantizer["in/Z2"])
    quantizer.update()
    check(quantizer, golden_quantizer, f"{norm}/restart_accum/step0")


def test_restart_with_fewer_tokens_than_codes(golden_quantizer: Any, norm: str) -> None:
    quantizer = build(golden_quantizer, norm, "random")
    quantizer.permutations = [golden_quantizer[f"{norm}/restart_tile/perm0"]]
    # The published code adds noise before it permutes, ours after.
    quantizer.noise = golden_quantizer[f"{norm}/restart_tile/noise0"][quantizer.permutations[0]]
    quantizer(golden_quantizer["in/Zs"])
    quantizer.update()
    check(quantizer, golden_quantizer, f"{norm}/restart_tile/step0")


def test_restart_from_the_farthest_tokens(golden_quantizer: Any, norm: str) -> None:
    quantizer = build(golden_quantizer, norm, "dist")
    quantizer.noise = golden_quantizer[f"{norm}/restart_dist/noise0"]
    quantizer(golden_quantizer["in/Z0"])
    quantizer.update()
    check(quantizer, golden_quantizer, f"{norm}/restart_dist/step0")


def test_lookup(golden_quantizer: Any) -> None:
    quantizer = build(golden_quantizer, "l2")
    ids = golden_quantizer["lookup/indices"][None]
    torch.testing.assert_close(quantizer.lookup(ids, (2, 3)), golden_quantizer["lookup/nchw"], **STATISTICS)
    torch.testing.assert_close(quantizer.codebook[ids[0]], golden_quantizer["lookup/flat"], **STATISTICS)
