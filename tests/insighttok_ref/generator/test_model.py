"""The model against `transformers`' Janus with the same weights, and its size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from insighttok_ref.generator.model import InsightAR
from insighttok_ref.generator.prompts import PromptBatch
from regionloss.errors import InputError, UnknownNameError
from tests.insighttok_ref.generator.tiny import CAPTIONS, CODES, DIM, SHAPE, image_ids, janus, ours, prompts


def count(module: torch.nn.Module) -> float:
    return sum(weight.numel() for weight in module.parameters()) / 1e9


@pytest.mark.parametrize(("preset", "of_text", "whole"), [("7B", 6.910, 7.016), ("1B", 1.653, 1.699)])
def test_presets_have_the_published_sizes(preset: str, of_text: float, whole: float) -> None:
    with torch.device("meta"):
        model = InsightAR.from_preset(preset, torch.empty(16384, 256))
    assert count(model.language_model) == pytest.approx(of_text, abs=0.001)
    assert count(model) == pytest.approx(whole, abs=0.001)


def test_logits_are_those_of_transformers() -> None:
    theirs, batch, ids = janus(), prompts(), image_ids(3)
    model = ours(theirs)
    with torch.no_grad():
        found = model(batch, ids)
        for row in range(3):  # one by one: without padding
            text = batch.ids[row : row + 1, int(batch.pads[row]) :]
            seen = theirs.get_input_embeddings()(text)
            drawn = theirs.prepare_embeddings_for_image_generation(ids[row : row + 1, :-1])
            states = theirs.model.language_model(inputs_embeds=torch.cat([seen, drawn], 1)).last_hidden_state
            wanted = theirs.model.generation_head(states[:, text.shape[1] - 1 :])
            assert wanted.std() > 0.1
            torch.testing.assert_close(found[row : row + 1], wanted, rtol=0, atol=1e-5)


def test_loss_is_that_of_the_image_ids_alone() -> None:
    model, batch, ids = ours(janus()), prompts(), image_ids(3)
    with torch.no_grad():
        logits = model(batch, ids)
        wanted = torch.stack(
            [-F.log_softmax(logits[row, at], -1)[ids[row, at]] for row in range(3) for at in range(ids.shape[1])]
        ).mean()
    loss = model.loss(batch, ids)
    torch.testing.assert_close(loss, wanted)
    loss.backward()
    names = {name for name, weight in model.named_parameters() if weight.grad is None}
    assert names == {"language_model.lm_head.weight"}


def test_what_pads_hold_changes_nothing() -> None:
    model, batch, ids = ours(janus()), prompts(), image_ids(3)
    changed = batch.ids.clone()
    for row, pads in enumerate(batch.pads.tolist()):
        changed[row, :pads] = 7
    assert not changed.equal(batch.ids)
    with torch.no_grad():
        torch.testing.assert_close(model(PromptBatch(changed, batch.pads), ids), model(batch, ids))


def test_a_preset_takes_the_codebook_and_other_options() -> None:
    codebook = torch.randn(CODES, DIM)
    model = InsightAR.from_preset("tiny", codebook, **SHAPE)
    assert model.codebook.weight.equal(codebook)
    assert (model.codes, model.context) == (CODES, 160)
    assert model(prompts(), image_ids(len(CAPTIONS))).shape == (3, 16, CODES)


def test_troubles_are_sentences() -> None:
    with pytest.raises(UnknownNameError, match=r"no generator preset is named '7b'. Did you mean '7B'"):
        InsightAR.from_preset("7b", torch.empty(4, 2))
    with pytest.raises(InputError, match=r"shape: expected options of transformers.LlamaConfig, got"):
        InsightAR({**SHAPE, "hidden_size": 50}, 4, 2)
