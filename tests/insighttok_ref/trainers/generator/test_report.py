"""What a run ends with: which captions are asked for, what is drawn of them, what the page and the results hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from insighttok_ref.generator.checkpoints import read_generator
from insighttok_ref.generator.sampling import Sampling, sample
from insighttok_ref.tokens.shards import TokenRow
from insighttok_ref.trainers.generator.options import WrittenOptions
from insighttok_ref.trainers.generator.report import Asked, drawn
from regionloss.errors import InputError
from regionloss.evaluation import read_results
from regionloss.recipe import build_trainer
from tests.insighttok_ref.trainers.generator.conftest import Prepare

READER = "trainer.options.evaluation.judges.text=text/ppocr-v6"
KEY = "trainer.options.evaluation.caption"
UNSEEN = "trainer.options.data.sources.near.unseen=3"


def rows(*captions: str | None) -> list[TokenRow]:
    return [TokenRow(str(number), caption, torch.zeros(4)) for number, caption in enumerate(captions)]


def test_each_word_is_asked_for_once_before_any_is_twice() -> None:
    held = {"test": rows("a red door", "a red door", None, "a blue sky", "a green door"), "unseen": rows("no door")}
    asked = Asked(held, WrittenOptions(caption="a {words} door", images=2))
    assert asked.words == {"test": ["red", "green"]}
    assert [row.key for row in asked.rows["test"]] == ["0", "4"]
    assert Asked(held, WrittenOptions(caption="a {words} door")).words["test"] == ["red", "green", "red"]


def test_signs_of_a_caption_are_no_pattern() -> None:
    assert Asked({"test": rows("(.*) sun?", "x sun?")}, WrittenOptions(caption="(.*) {words}?")).words == {
        "test": ["sun"]
    }


def test_what_is_asked_for_is_the_whole_picture_and_does_not_depend_on_a_tokenizer() -> None:
    asked = Asked({"test": rows("sun", "a very long sentence")}, WrittenOptions())
    batch = asked.originals((48, 32)).test["test"]
    assert batch.pixels.shape == (2, 3, 32, 48)
    assert batch.regions["text"].boxes.tolist() == [[0, 0, 48, 32]] * 2
    for picture in batch.pixels.float().mean(1):
        ink = picture < 128
        assert ink.any()
        assert not (ink[:, 0] | ink[:, -1]).any()


def test_the_run_ends_with_a_page_of_what_is_drawn_and_of_what_the_tokenizer_keeps(
    tiny_run: Prepare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny_run(tmp_path, READER, f"{KEY}=a {{words}} door", UNSEEN, "trainer.options.phases.0.steps=1")
    build_trainer(run.loaded).run(run)
    said = capsys.readouterr().out
    for name in ("generated", "tokenizer-alone"):
        summary = read_results(tmp_path / "results" / name).summary
        assert f"test, {summary.name}: " in said
        assert f"unseen, {summary.name}: " in said
        scores = {(score.measure, score.group): score for score in summary.scores}
        assert scores["chance_acc", "set=test"].count == 5
        assert scores["t_acc", "set=unseen"].count == summary.images - 5 > 2
    assert "words that were asked for" in (tmp_path / "report.html").read_text()
    generator = read_generator(tmp_path)
    asked = rows("a 7 door", "a 8 door")
    ids = drawn(generator, asked, WrittenOptions(guidance=2.0, temperature=0.0))
    prompts = generator.form.encode(["a 8 door"])
    alone = sample(generator.model, generator.form, prompts, 16, torch.tensor([1]), Sampling(2.0, 0.0, None, "plain"))
    assert ids[1].equal(alone.ids[0])


def test_captions_of_another_kind_are_refused_before_training(tiny_run: Prepare, tmp_path: Path) -> None:
    run = tiny_run(tmp_path, READER, f"{KEY}=text that reads {{words}}")
    with pytest.raises(
        InputError, match=r"evaluation\.caption: expected captions like 'text that reads \{words\}', got"
    ):
        build_trainer(run.loaded).run(run)
    assert not (tmp_path / "metrics.jsonl").exists()
