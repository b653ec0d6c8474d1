"""Prompts and results of GenEval, DPG-Bench and LongText-Bench, as their own programs write and read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regionloss.errors import InputError
from regionloss.evaluation.generation import (
    long_text_ned,
    read_dpg,
    read_dpg_results,
    read_geneval,
    read_geneval_results,
    read_long_text,
    read_long_text_results,
)


def lines(path: Path, *found: object) -> Path:
    path.write_text("\n".join(json.dumps(one, ensure_ascii=False) for one in found) + "\n\n", encoding="utf-8")
    return path


GENEVAL = (
    {"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a photo of a bench"},
    {"tag": "counting", "include": [{"class": "cow", "count": 2}], "exclude": [], "prompt": "a photo of two cows"},
)


def test_prompts_of_geneval(tmp_path: Path) -> None:
    first, second = read_geneval(lines(tmp_path / "evaluation_metadata.jsonl", *GENEVAL))
    assert (first.key, first.text, first.kind) == ("00000", "a photo of a bench", "single_object")
    assert second.places(2) == ["00001/samples/00000.png", "00001/samples/00001.png"]
    assert second.record == GENEVAL[1]


def test_prompts_of_dpg_bench(tmp_path: Path) -> None:
    for name, text in (("10", "ten\n"), ("2", "two"), ("partiprompts{1}", "a cat")):
        (tmp_path / f"{name}.txt").write_text(text)
    found = read_dpg(tmp_path)
    assert [(one.key, one.text) for one in found] == [("2", "two"), ("10", "ten"), ("partiprompts{1}", "a cat")]
    assert [one.places(1) for one in found] == [["2.png"], ["10.png"], ["partiprompts{1}.png"]]
    with pytest.raises(InputError, match="expected prompts of DPG-Bench, a text file each, got none"):
        read_dpg(tmp_path / "nothing")


def test_prompts_of_long_text_bench(tmp_path: Path) -> None:
    entries = (
        {"prompt_id": 3, "prompt": "A sign", "text": ["Open at", "six"], "category": "sign"},
        {"prompt_id": "12"},
    )
    first, second = read_long_text(
        lines(tmp_path / "a.jsonl", entries[0], entries[1] | {"prompt": "招牌", "text": "六"})
    )
    assert (first.words, first.kind, second.words) == (("Open at", "six"), "sign", ("六",))
    assert first.places(4) == ["0003_1.png", "0003_2.png", "0003_3.png", "0003_4.png"]
    assert second.places(1) == ["0012_1.png"]


def test_results_of_geneval_are_the_mean_of_the_means_of_its_tasks(tmp_path: Path) -> None:
    def one(tag: str, prompt: str, correct: bool) -> dict[str, object]:
        return {"filename": "f", "tag": tag, "prompt": prompt, "correct": correct, "metadata": json.dumps([prompt])}

    found = [
        one("counting", "a", True),
        one("counting", "a", False),
        one("counting", "b", False),
        one("colors", "c", True),
    ]
    outcome = read_geneval_results(lines(tmp_path / "results.jsonl", *found))
    assert outcome.groups == {"counting": pytest.approx(1 / 3), "colors": 1.0}
    assert outcome.score == pytest.approx(2 / 3)
    assert (outcome.images, outcome.prompts) == (4, pytest.approx(2 / 3))


DPG = """made/a, b.png, 0.5, 0.75, 0.625
made/c.png, 1.0, 1.0
Model: made
L1 category scores:
\tentity: 88.5
\tother - kinds: nan
L2 category scores:
\tentity - whole: 90.0
Image path: made
Save results to: made/results.txt
DPG-Bench score: 81.25
"""


def test_results_of_dpg_bench_whole_and_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "results.txt"
    path.write_text(DPG)
    outcome = read_dpg_results(path)
    assert outcome.score == pytest.approx(0.8125)
    assert (outcome.groups, outcome.images) == ({"entity": 0.885}, 2)
    path.write_text(DPG.splitlines()[0])
    assert read_dpg_results(path).score == pytest.approx(0.625)
    path.write_text("nothing of the kind\n")
    with pytest.raises(InputError, match="as DPG-Bench writes them, got none"):
        read_dpg_results(path)


def test_results_of_long_text_bench_are_over_all_words(tmp_path: Path) -> None:
    def one(matched: object, words: object) -> dict[str, object]:
        found = {"match_word_count": matched, "gt_word_count": words, "text_accuray": 0.5}  # as its program spells it
        return {"image": "a.png", "prompt": "p", "ocr_gt": "a b", "ocr_results": "a", **found}

    outcome = read_long_text_results(lines(tmp_path / "results.jsonl", one(1, 2), one(30, 30)))
    assert (outcome.score, outcome.images) == (pytest.approx(31 / 32), 2)
    for matched, words in ((3, 2), (None, 2), (True, 2), (-1, 2)):
        with pytest.raises(InputError, match="not above 'gt_word_count', in each line, got"):
            read_long_text_results(lines(tmp_path / "wrong.jsonl", one(matched, words)))
    with pytest.raises(InputError, match="expected words that images were to show, got none"):
        read_long_text_results(lines(tmp_path / "none.jsonl", one(0, 0)))


def test_long_texts_are_compared_without_their_breaks() -> None:
    assert long_text_ned("Open\nat six", ["Open at", "six"]) == 1
    assert long_text_ned("Openatsix!", ["Open at six"]) == pytest.approx(0.9)
    assert long_text_ned("", ["Open"]) == 0


WRONG = {
    "expected lines of JSON, got no such file": None,
    "line 2: expected an object of JSON, got list": '{"tag": "t", "prompt": "p", "prompt_id": 1, "correct": true}\n[]',
    "line 1: expected an object of JSON, got Expecting value": "x",
    "expected lines of JSON, got none": "\n\n",
    "in each line, got": '{"tag": 3, "prompt": null, "prompt_id": [], "correct": "yes"}',
}


@pytest.mark.parametrize("reader", [read_geneval, read_long_text, read_geneval_results])
@pytest.mark.parametrize("said", WRONG)
def test_other_files_are_sentences(tmp_path: Path, reader, said: str) -> None:
    path = tmp_path / "some.jsonl"
    if WRONG[said] is not None:
        path.write_text(str(WRONG[said]))
    with pytest.raises(InputError, match=said):
        reader(path)
