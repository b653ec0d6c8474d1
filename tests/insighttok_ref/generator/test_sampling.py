"""Sampling from the model: its memory, guidance, and `transformers`' own generation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from insighttok_ref.generator.decoders import DECODERS
from insighttok_ref.generator.guidance import guided, largest, probabilities
from insighttok_ref.generator.prompts import BEGIN, PAD, START, PromptFormat
from insighttok_ref.generator.sampling import CachedReader, Sampling, sample
from regionloss.errors import InputError
from tests.insighttok_ref.generator.tiny import CAPTIONS, CODES, SIDE, image_ids, janus, ours, prompts

FORM = PromptFormat.of_bytes()
COUNT = SIDE**2


def test_what_is_remembered_says_the_same_as_all_at_once() -> None:
    model, batch, ids = ours(janus()), prompts(), image_ids(3)
    with torch.inference_mode():
        wanted = model(batch, ids).softmax(-1)
        reader = CachedReader(model, batch, COUNT, Sampling(guidance=1), None)
        torch.testing.assert_close(reader.first(), wanted[:, 0])
        for place in range(3):
            found = reader(ids[:, place : place + 1], torch.full((3,), place))
            torch.testing.assert_close(found[:, 0], wanted[:, place + 1])
        # Rows at places of their own, after drafts that were wrong.
        starts = torch.tensor([1, 3, 2])
        reader((ids[:, :9] + 1) % CODES, starts)
        window = torch.stack([ids[row, start : start + 5] for row, start in enumerate(starts.tolist())])
        found = reader(window, starts)
        for row, start in enumerate(starts.tolist()):
            torch.testing.assert_close(found[row], wanted[row, start + 1 : start + 6])


def test_guidance_is_that_of_two_passes() -> None:
    model, batch, ids = ours(janus()), prompts(), image_ids(3)
    with torch.inference_mode():
        nothing = FORM.without_caption(batch)
        wanted = guided(model(batch, ids), model(nothing, ids), 5.0)
        reader = CachedReader(model, batch, COUNT, Sampling(guidance=5.0, top_k=9, temperature=0.7), nothing)
        found = torch.cat([reader.first()[:, None], reader(ids[:, :-1], torch.zeros(3, dtype=torch.long))], 1)
    torch.testing.assert_close(found, probabilities(wanted, 0.7, 9), rtol=1e-3, atol=1e-5)
    assert found.gt(0).sum(-1).eq(9).all()


def test_the_likeliest_ids_are_those_of_transformers() -> None:
    theirs, batch = janus(), prompts()
    special = {"bos_token_id": FORM.id_of(BEGIN), "pad_token_id": FORM.id_of(PAD)}
    theirs.generation_config.update(**special)
    theirs.generation_config.generation_kwargs = {"boi_token_id": FORM.id_of(START)}
    places = torch.arange(batch.ids.shape[1])
    wanted = theirs.generate(
        batch.ids,
        attention_mask=(places >= batch.pads[:, None]).long(),
        generation_mode="image",
        do_sample=False,
        guidance_scale=5,
    )
    assert wanted.unique().numel() > 5
    for decoder in ("plain", "jacobi", "coupled"):
        decoded = sample(ours(theirs), FORM, batch, COUNT, torch.zeros(3).long(), Sampling(5, 0, None, decoder, 4))
        assert decoded.ids.equal(wanted)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_seed_decides_its_image_whatever_the_batch(decoder: str) -> None:
    model, how = ours(janus()), Sampling(5.0, 1.0, 20, decoder, 4)
    seeds = torch.tensor([5, 6, 5])
    batch = sample(model, FORM, prompts([CAPTIONS[0]]).repeated(3), COUNT, seeds, how).ids
    alone = sample(model, FORM, prompts([CAPTIONS[0]]), COUNT, seeds[1:2], how).ids
    assert batch[0].equal(batch[2])
    assert not batch[0].equal(batch[1])
    assert alone[0].equal(batch[1])


@pytest.mark.parametrize("decoder", ["plain", "coupled"])
def test_one_graph_serves_every_step_and_captions_of_many_lengths(decoder: str) -> None:
    graphs: list[torch.fx.GraphModule] = []

    def captured(graph: torch.fx.GraphModule, inputs: object) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    model, seeds = ours(janus()), torch.arange(3)
    for captions in (CAPTIONS, ["a door"] * 3):
        eager, compiled = (
            sample(model, FORM, prompts(captions), COUNT, seeds, Sampling(5.0, 1.0, 20, decoder, 4, backend))
            for backend in (None, captured)
        )
        assert compiled.ids.equal(eager.ids)
        assert compiled.forwards.equal(eager.forwards)
    assert len(graphs) == 1


def test_the_largest_logits_are_those_of_topk() -> None:
    logits = torch.randn(3, 4, 500, generator=torch.Generator().manual_seed(0))
    logits[0] = logits[0].round()  # many are equal
    logits[1, 2, 7], logits[1, 3, :490] = torch.inf, -torch.inf
    for k in (1, 40, 499):
        found = largest(logits, k)
        wanted = logits.topk(k, dim=-1).values
        assert found.gt(-torch.inf).sum(-1).equal(wanted.gt(-torch.inf).sum(-1))
        assert found.sort(-1, descending=True).values[..., :k].equal(wanted)
        assert found[found > -torch.inf].equal(logits[found > -torch.inf])


def test_probabilities_of_equal_logits_keep_no_more_than_k() -> None:
    found = probabilities(torch.zeros(2, 6), top_k=4)
    assert found.gt(0).sum(-1).tolist() == [4, 4]
    assert probabilities(torch.tensor([1.0, 3.0, 3.0]), temperature=0).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("how", "count", "sentence"),
    [
        (Sampling(top_k=97), COUNT, "--top-k: expected from 1 to 96, the number of codes, got 97."),
        (Sampling(top_k=0), COUNT, "--top-k: expected from 1 to 96, the number of codes, got 0."),
        (Sampling(temperature=-1), COUNT, "--temperature: expected 0 or more, got -1."),
        (Sampling(window=0), COUNT, "--window: expected 1 or more, got 0."),
        (Sampling(), 120, "prompt: expected at most 41 tokens of text, got 62 before the 120 of the image."),
    ],
)
def test_troubles_are_sentences(how: Sampling, count: int, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        sample(ours(janus()), FORM, prompts(), count, torch.zeros(3).long(), how)
    assert str(error.value).startswith(sentence)
