"""What the quantizer does beyond the published one, and where that one has traps."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from insighttok_ref.quantizers import nearest as search
from insighttok_ref.quantizers.base import Quantizer
from insighttok_ref.quantizers.ema import EMAQuantizer
from regionloss.errors import InputError

starved = pytest.mark.filterwarnings("ignore:quantizer. .* tokens per code and update")


def latents(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_fits_the_protocol() -> None:
    assert isinstance(EMAQuantizer(8, 4), Quantizer)


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements that any operation returned."""

    largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in torch.utils._pytree.tree_leaves(result):
            if isinstance(value, Tensor):
                self.largest = max(self.largest, value.numel())
        return result


def test_no_matrix_of_tokens_by_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SEARCH_ELEMENTS", 2**16)
    quantizer = EMAQuantizer(1024, 4)
    with LargestTensor() as mode:
        quantizer(latents(0, 1, 4, 64, 64))
        quantizer.update()
        quantizer.stats()
    assert 2**16 <= mode.largest <= 2**17 < 4096 * 1024


@starved
def test_nothing_is_read_back_to_the_host() -> None:
    """On the meta device there are no values: whatever reads one raises."""
    for restart in ("random", "dist", "off"):
        quantizer = EMAQuantizer(64, 4, restart=restart).to("meta")
        quantizer(torch.empty(2, 4, 3, 3, device="meta"))
        quantizer.update()
        assert set(quantizer.stats()) >= {"perplexity", "usage"}


def test_more_tokens_than_the_usage_window() -> None:
    quantizer = EMAQuantizer(4, 2)
    quantizer(latents(0, 1, 2, 300, 300))
    assert quantizer.stats()["usage"] == 1


def test_usage_and_perplexity_of_known_ids() -> None:
    quantizer = EMAQuantizer(4, 4)
    quantizer.embedding.weight.copy_(torch.eye(4))
    quantizer(torch.eye(4)[[1, 1, 2, 2]].t().reshape(1, 4, 2, 2))
    stats = quantizer.stats()
    torch.testing.assert_close(stats["perplexity"], torch.tensor(2.0), atol=1e-5, rtol=0)
    assert stats["usage"] == 0.75  # codes 1, 2 and the window's initial zeros


def test_update_without_a_forward_is_refused() -> None:
    quantizer = EMAQuantizer(8, 4)
    with pytest.raises(InputError, match=r"expected a training forward since the last update, got none"):
        quantizer.update()
    quantizer.eval()(latents(0, 1, 4, 8, 8))
    with pytest.raises(InputError, match="train"):
        quantizer.update()


def test_frozen_learns_nothing() -> None:
    quantizer = EMAQuantizer(8, 4)
    quantizer.frozen = True
    before = {key: value.clone() for key, value in quantizer.state_dict().items()}
    _, loss, _ = quantizer(latents(0, 1, 4, 8, 8))
    quantizer.update()
    assert loss > 0
    assert quantizer._gathered is None
    for key, value in quantizer.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_cached_tokens_hold_no_graph_and_go_with_the_update() -> None:
    quantizer = EMAQuantizer(8, 4)
    quantizer(latents(0, 1, 4, 5, 8).requires_grad_())
    assert quantizer._gathered is not None
    assert len(quantizer._gathered.pool()) == 40
    assert not quantizer._gathered.pool().requires_grad
    quantizer.update()
    assert quantizer._gathered is None


def test_a_few_tokens_warn_once() -> None:
    quantizer = EMAQuantizer(64, 4)
    quantizer(latents(0, 1, 4, 4, 4))
    with pytest.warns(UserWarning, match=r"0.25 tokens per code and update; below 2 most codes starve"):
        quantizer.update()
    quantizer(latents(1, 1, 4, 4, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quantizer.update()


@starved
@pytest.mark.parametrize(("threshold", "lowest", "highest"), [(1.0, 0.9, 1.0), ("auto", 0.0, 0.2)])
def test_auto_threshold_spares_small_batches(threshold: Any, lowest: float, highest: float) -> None:
    """At a quarter token a code, the published threshold redraws nearly every code at every update."""
    quantizer = EMAQuantizer(64, 4, restart_threshold=threshold)
    for seed in range(400):
        quantizer(latents(seed, 1, 4, 4, 4))
        quantizer.update()
    assert lowest <= quantizer.stats()["dead_codes"] <= highest


def test_auto_threshold_is_the_published_one_at_the_published_scale() -> None:
    assert EMAQuantizer(16, 4)._threshold(512 * 256 / 16384) == 1.0
    assert EMAQuantizer(16, 4)._threshold(4.0) == 0.5
    assert EMAQuantizer(16, 4, restart_threshold=0.3)._threshold(4.0) == 0.3


@pytest.mark.parametrize("reset", [False, True])
def test_restart_may_reset_the_statistics(reset: bool) -> None:
    quantizer = EMAQuantizer(8, 4, restart_threshold=1.0, reset_restarted=reset)
    quantizer.cluster_size[5] = 0.0
    quantizer.embedding.weight[5] = -quantizer.embedding.weight[0]
    quantizer(quantizer.codebook[0].expand(64, 4).t().reshape(1, 4, 8, 8))
    quantizer.update()
    assert torch.allclose(quantizer.codebook[5], quantizer.codebook[0])  # every token is code 0
    assert bool(quantizer.cluster_size[5] == 1) == reset
    assert torch.allclose(quantizer.embed_avg[5], quantizer.codebook[5]) == reset


def test_a_code_without_statistics_keeps_its_place() -> None:
    quantizer = EMAQuantizer(8, 4, restart="off")
    quantizer.cluster_size[5] = 0
    quantizer.embed_avg[5] = 0
    quantizer.embedding.weight[5] = torch.tensor([0.0, 0.0, 0.0, 1.0])
    quantizer(torch.tensor([0.0, 0.0, 0.0, -1.0]).view(1, 4, 1, 1))
    quantizer.update()
    assert quantizer.embedding.weight[5].tolist() == [0, 0, 0, 1]


@starved
@pytest.mark.parametrize("side", [2, 8])
def test_codes_from_the_first_batch(side: int) -> None:
    quantizer = EMAQuantizer(8, 4, init="data")
    z = latents(0, 1, 4, side, side)
    quantizer(z)
    tokens = torch.nn.functional.normalize(z.flatten(2)[0].t(), dim=1)
    gap = torch.cdist(quantizer.codebook, tokens).amin(1)
    assert gap.max() < (1e-3 if side == 8 else 0.05)  # four tokens are repeated with a little noise
    before = quantizer.codebook
    quantizer(latents(1, 1, 4, 8, 8))
    assert torch.equal(quantizer.codebook, before)


def test_loaded_codes_are_not_initialised_again() -> None:
    trained, fresh = EMAQuantizer(8, 4), EMAQuantizer(8, 4, init="data")
    fresh.load_state_dict(trained.state_dict())
    fresh(latents(0, 1, 4, 8, 8))
    assert torch.equal(fresh.codebook, trained.codebook)


def test_half_precision_is_searched_in_float32() -> None:
    quantizer = EMAQuantizer(8, 4).eval()
    z = latents(0, 1, 4, 8, 8).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        z_q, loss, ids = quantizer(z)
    assert (z_q.dtype, loss.dtype) == (torch.bfloat16, torch.float32)
    assert torch.equal(ids, quantizer(z.float())[2])
    assert torch.equal(quantizer.assign(z), ids)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(quantizer.assign(z), ids)


def test_autocast_changes_no_id_and_no_statistic() -> None:
    """The same float32 latents give the same ids, codes and losses in a bfloat16 step."""
    runs = []
    for enabled in (False, True):
        torch.manual_seed(0)
        quantizer = EMAQuantizer(512, 16)
        z = latents(0, 4, 16, 16, 16)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            z_q, loss, ids = quantizer(z)
            quantizer.update()
        runs.append((z_q, loss, ids, quantizer.codebook, quantizer.cluster_size))
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_stats_after_an_update_are_those_of_all_its_forwards() -> None:
    quantizer = EMAQuantizer(4, 4, restart_threshold=0.5)
    quantizer.embedding.weight.copy_(torch.eye(4))
    for code in (1, 2):
        quantizer(torch.eye(4)[[code] * 8].t().reshape(1, 4, 2, 4))
        torch.testing.assert_close(quantizer.stats()["perplexity"], torch.tensor(1.0), atol=1e-5, rtol=0)
    quantizer.update()
    torch.testing.assert_close(quantizer.stats()["perplexity"], torch.tensor(2.0), atol=1e-5, rtol=0)
    assert quantizer.stats()["dead_codes"] == 0


def test_latents_of_another_width_are_refused() -> None:
    with pytest.raises(InputError, match=r"z: expected a shape \(B, 4, h, w\), got \(1, 3, 2, 2\)"):
        EMAQuantizer(8, 4)(torch.zeros(1, 3, 2, 2))


@pytest.mark.parametrize("option", [{"restart": "never"}, {"init": "kmeans"}, {"restart_threshold": "low"}])
def test_unknown_choices_are_refused(option: dict[str, Any]) -> None:
    (name,) = option
    with pytest.raises(InputError, match=f"{name}: expected '"):
        EMAQuantizer(8, 4, **option)


def test_codes_from_data_begin_their_averages_there() -> None:
    """After an update each code is the moving average of the token that it began as and its tokens' sum, by a loop."""
    quantizer = EMAQuantizer(4, 3, init="data", l2_normalize=False, restart="off", decay=0.75)
    z = latents(0, 1, 3, 4, 4)
    _, _, ids = quantizer(z)
    began, tokens = quantizer.codebook.tolist(), z.flatten(2)[0].t().tolist()
    assert all(min(math.dist(code, token) for token in tokens) < 1e-6 for code in began)
    quantizer.update()
    for number, code in enumerate(began):
        mine = [token for token, k in zip(tokens, ids[0].tolist(), strict=True) if k == number]
        weight = 0.75 * 1 + 0.25 * len(mine)
        wanted = [(0.75 * code[d] + 0.25 * sum(token[d] for token in mine)) / weight for d in range(3)]
        assert quantizer.codebook[number].tolist() == pytest.approx(wanted, abs=1e-6)
