"""`regionloss measure` as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from regionloss.evaluation.generation import read_quotes
from tests.insighttok_ref.cli.test_reconstruct import typed

QUOTE = "You have brains in your head and feet in your shoes so you can steer yourself in any direction that you choose"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quotes.txt").write_text(QUOTE + "\n")
    return tmp_path


def page(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    image = Image.new("RGB", (512, 256), "white")
    for number, line in enumerate(lines):
        ImageDraw.Draw(image).text((20, 20 + 50 * number), line, fill="black", font_size=28)
    image.save(path)


def test_long_text_is_read_by_a_judge(here: Path) -> None:
    words = QUOTE.split()
    first, second = read_quotes(Path("quotes.txt"))[0].places(2)
    page(here / "images" / first, [" ".join(words[at : at + 6]) for at in range(0, len(words), 6)])
    said = ("--prompts", "quotes=quotes.txt", "--n", 3, "--out", "measured.json")
    code, told = typed("measure", "images", *said)
    assert code == 0, told
    assert "1 of 3 images, read by text/ppocr-v6-page" in told
    ((whole,),) = (json.loads(Path("measured.json").read_text()),)
    assert whole["value"] > 90
    page(here / "images" / second, [])
    assert typed("measure", "images", *said)[0] == 0
    ((half,),) = (json.loads(Path("measured.json").read_text()),)
    assert half["value"] == pytest.approx(whole["value"] / 2)


def test_faces_have_a_place_and_the_reason_why_there_is_no_number(here: Path) -> None:
    page(here / "crowd" / "00_0.png", [])
    code, told = typed("measure", "crowd", "--prompts", "crowd", "--n", 1)
    assert code == 0, told
    assert "MagFace score" in told
    assert "no package holds MagFace's network" in " ".join(told.split())


def test_results_of_programs_and_the_loss_of_a_run_are_shown(here: Path) -> None:
    one = {"tag": "counting", "prompt": "a", "correct": True}
    Path("results.jsonl").write_text("\n".join(json.dumps(line) for line in (one, one | {"correct": False})))
    Path("dpg.txt").write_text("made/c.png, 1.0, 0.8125\n")
    lines = [{"part": "adapt", "test/loss": 3.0, "test/perplexity": 20.1}, {"part": "train", "loss/total": 1.0}]
    lines += [{"part": "train", "test/loss": 2.0, "test/perplexity": 7.389}]
    Path("ar").mkdir()
    Path("ar/metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    results = ("--results", "geneval=results.jsonl", "--results", "dpg=dpg.txt")
    code, told = typed("measure", *results, "--run", "ar", "--out", "all.json")
    assert code == 0, told
    found = {row["name"]: (row["value"], row["told"]) for row in json.loads(Path("all.json").read_text())}
    assert found["geneval"] == (0.5, "2 images: counting 0.5")
    assert found["dpg"] == (0.8125, "1 image")
    assert found["token loss"] == (2.0, "after phase 'train', on images kept from training")
    assert found["perplexity"][0] == 7.389


def test_troubles_are_sentences(here: Path) -> None:
    (here / "empty").mkdir()
    (here / "ar").mkdir()
    (here / "ar" / "metrics.jsonl").write_text('{"part": "train"}\n')
    for words, sentence in (
        ((), "measure: expected images and --prompts, --results or --run, got none of them."),
        (("empty",), "measure: expected a folder of images and the --prompts that they were drawn from, got one."),
        (("none", "--prompts", "crowd"), "none: expected a folder of images, got none."),
        (("empty", "--prompts", "crowd"), "empty: expected images of crowd, got no 00_0.png or any other. Draw them"),
        (("--results", "gen=a"), "--results: no benchmark is named 'gen'. Did you mean 'geneval'"),
        (("--results", "dpg"), "--results: expected dpg=FILE, got 'dpg'."),
        (("--run", "empty"), "empty: expected the folder of a generator's run, got no metrics.jsonl there."),
        (("--run", "ar"), "expected a loss of images kept from training, got none. Say data.sources.NAME.test=100"),
        (("--run", "ar", "--out", "a.txt"), "--out: expected a file that ends in .json, got 'a.txt'."),
    ):
        code, said = typed("measure", *words)
        assert code in (1, 2), said
        assert sentence in said
