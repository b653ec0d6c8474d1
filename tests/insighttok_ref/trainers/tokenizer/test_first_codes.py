"""Codes that begin as data: those of the whole first step, however it is cut."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from insighttok_ref.quantizers.ema import EMAQuantizer
from insighttok_ref.trainers.tokenizer.session import Session
from tests.insighttok_ref.trainers.tokenizer.phases import OPTIONS, prepare, train


def begun(out: Path, *overrides: str) -> tuple[Tensor, list[Tensor]]:
    """Return the codes with which a run begins, and the tokens of its first step's micro-batches."""
    found: list[tuple[Tensor, list[Tensor]]] = []

    def look(session: Session) -> None:
        state = session._begin(session.parts[0])
        batches = session.batches(state.part, state.share).starting_at(0)
        images = [next(batches).images for _ in range(state.share.accumulation)]
        assert state.model.training
        tokens = [state.model.latents(one).detach().permute(0, 2, 3, 1).reshape(-1, 8) for one in images]
        found.append((state.model.quantize.codebook.clone(), tokens))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(prepare(out, *[OPTIONS + override for override in overrides]), look)
    return found[0]


def test_codes_begin_as_tokens_of_all_micro_batches(tmp_path: Path) -> None:
    whole, _ = begun(tmp_path / "whole", "engine.micro_batch=4")
    cut, tokens = begun(tmp_path / "cut", "engine.micro_batch=1")
    torch.testing.assert_close(cut, whole)
    nearest = torch.stack([torch.cdist(cut, part).amin(1) for part in tokens])  # (micro-batches, codes)
    assert nearest.amin(0).max() < 1e-3
    assert set(nearest.argmin(0).tolist()) == {0, 1, 2, 3}


def test_a_codebook_that_awaits_nothing_reads_nothing(tmp_path: Path) -> None:
    def latents():
        pytest.fail("has read")
        yield

    EMAQuantizer(8, 4).begin(latents())
    trained = EMAQuantizer(8, 4, init="data")
    trained.load_state_dict(EMAQuantizer(8, 4).state_dict())
    trained.begin(latents())
    frozen = EMAQuantizer(8, 4, init="data")
    frozen.frozen = True
    frozen.begin(latents())


@pytest.mark.filterwarnings("ignore:quantizer. .* tokens per code and update")
def test_codes_that_have_begun_are_not_chosen_again() -> None:
    parts = torch.randn(3, 4, 4, 2, 2, generator=torch.Generator().manual_seed(0)).unbind()
    torch.manual_seed(1)
    whole = EMAQuantizer(8, 4, init="data")
    cut = EMAQuantizer(8, 4, init="data")
    for quantizer, latents in ((whole, [torch.cat(parts)]), (cut, parts)):
        torch.manual_seed(2)
        quantizer.begin(latents)
    assert torch.equal(whole.codebook, cut.codebook)
    before = cut.codebook.clone()
    cut(parts[0])
    assert torch.equal(cut.codebook, before)
    assert torch.equal(cut.embed_avg, cut.embedding.weight)
    assert cut.cluster_size.tolist() == [1.0] * 8
