"""The paper's sets of prompts, and sets by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regionloss.errors import InputError, UnknownNameError
from regionloss.evaluation.generation import crowds, prompt_set, read_quotes


def test_crowds_are_fifteen_prompts_of_up_to_twenty_people() -> None:
    found = crowds()
    assert len({prompt.text for prompt in found}) == 15
    assert found[0].text.startswith("Five people")
    assert found[-1].text.startswith("Twenty people")
    assert found[14].places(2) == ["14_0.png", "14_1.png"]
    assert all(100 < len(prompt.text) < 600 for prompt in found)
    assert prompt_set("crowd") == found


def test_quotes_are_those_of_the_paper_s_lengths(tmp_path: Path) -> None:
    short, long = "x" * 99, "y" * 301
    fitting = [letter * 100 for letter in "abcde"] + ["z" * 300]
    lines = tmp_path / "quotes.txt"
    lines.write_text("\n".join([short, *fitting, long, f"“{fitting[0]}”", ""]))
    found = read_quotes(lines)
    assert {prompt.words[0] for prompt in found} == set(fitting)
    assert all(
        prompt.text == f"The image shows bold, clear text on a white background that reads: “{prompt.words[0]}”"
        for prompt in found
    )
    assert len(read_quotes(lines, count=3)) == 3
    assert read_quotes(lines) == found
    assert read_quotes(lines, seed=1) != found
    rows = tmp_path / "quotes.jsonl"
    rows.write_text("\n".join(json.dumps({"quote": quote, "author": "nobody"}) for quote in (short, *fitting)))
    assert {prompt.words for prompt in read_quotes(rows)} == {prompt.words for prompt in found}


def test_troubles_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("too short\n")
    with pytest.raises(
        InputError, match=r"short\.txt: expected quotes of 100 to 300 characters, one a line, got none amo"
    ):
        prompt_set(f"quotes={tmp_path / 'short.txt'}")
    with pytest.raises(InputError, match=r"none\.txt: expected a quote in each line, got"):
        prompt_set(f"quotes={tmp_path / 'none.txt'}")
    with pytest.raises(UnknownNameError, match=r"no set of prompts is named 'crowds'\. Did you mean 'crowd'"):
        prompt_set("crowds")
    with pytest.raises(InputError, match=r"--prompts: expected geneval=PATH, got 'geneval'"):
        prompt_set("geneval")
