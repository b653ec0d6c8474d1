"""Captions as text ids."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from insighttok_ref.generator.prompts import BEGIN, PAD, START, PromptFormat
from regionloss.errors import InputError, WeightsError


def read(form: PromptFormat, ids: torch.Tensor) -> str:
    return form.text.decode(ids.tolist(), skip_special_tokens=False)


def test_a_prompt_reads_as_janus_writes_it() -> None:
    form = PromptFormat.of_bytes()
    short, long = form.encode(["a €", "something longer"]).ids
    assert read(form, long) == f"{BEGIN}<|User|>: something longer\n\n<|Assistant|>:{START}"
    assert read(form, short) == f"{PAD * 11}{BEGIN}<|User|>: a €\n\n<|Assistant|>:{START}"


def test_captions_that_are_dropped_leave_beginning_and_start() -> None:
    form = PromptFormat.of_bytes()
    batch = form.encode(["a", "something longer"])
    gone = form.without_caption(batch, torch.tensor([True, False]))
    begin, start, pad = map(form.id_of, (BEGIN, START, PAD))
    assert gone.ids[1].equal(batch.ids[1])
    left = int(batch.pads[0])
    assert gone.ids[0, left] == begin
    assert gone.ids[0, -1] == start
    assert set(gone.ids[0].tolist()) == {begin, start, pad}
    assert form.without_caption(batch).ids.eq(pad).sum(1).tolist() == [len(batch.ids[0]) - 2] * 2
    assert form.without_caption(batch).pads.equal(batch.pads)


def test_a_format_is_read_as_it_was_written(tmp_path: Path) -> None:
    form = PromptFormat.of_bytes()
    form.text.save(str(tmp_path / "text.json"))
    again = PromptFormat.read(tmp_path / "text.json", **form.names)
    assert again.encode(["Füße: 5€"]).ids.equal(form.encode(["Füße: 5€"]).ids)


def test_troubles_are_sentences(tmp_path: Path) -> None:
    form = PromptFormat.of_bytes()
    with pytest.raises(InputError, match=rf"caption: expected text without .*, got '{START}' in 'a {START}'"):
        form.encode([f"a {START}"])
    with pytest.raises(InputError, match=r"template: expected a text with \{caption\}, got 'nothing'"):
        PromptFormat(form.text, template="nothing")
    with pytest.raises(InputError, match=r"text tokenizer: expected the token '<none>'"):
        PromptFormat(form.text, start="<none>")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"bad.json: expected a text tokenizer, got"):
        PromptFormat.read(tmp_path / "bad.json")
    with pytest.raises(WeightsError, match=r"none.json: cannot be read"):
        PromptFormat.read(tmp_path / "none.json")
