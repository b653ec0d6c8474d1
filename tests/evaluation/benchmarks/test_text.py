"""T-ACC and T-NED of every reader; what cannot be judged is there, with the reason."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from regionloss.errors import InputError
from regionloss.evaluation.benchmarks import Gathered, TextBenchmark, Verdict
from regionloss.evaluation.pairs import Instance
from regionloss.hooks.catalogue import catalogue
from regionloss.judges import Reading
from tests.evaluation.benchmarks.doubles import Knower, Reader, drawn, pair

BOX = (2.0, 2.0, 20.0, 10.0)


def bright(value: float) -> Reading:
    return Reading("Light" if value > 0 else "light", 0.9)


def image(value: float) -> Tensor:
    return torch.full((3, 32, 48), value)


def verdicts(text: str | None, says: object = bright, target: float = 1.0, output: float = -1.0) -> list[Verdict]:
    benchmark = TextBenchmark({"reader": Reader(says)})  # type: ignore[arg-type]
    return list(benchmark.examine(pair(image(target), [Instance("text", BOX, 0.1, text=text)], image(output))).verdicts)


def test_a_reading_is_compared_with_the_transcription_and_the_original_s_stands_beside_it() -> None:
    (one,) = verdicts("Light")
    assert (one.read, one.original, one.truth, one.truth_from, one.problem) == (
        *("light", "Light", "Light", "transcription"),
        "",
    )
    assert one.values == pytest.approx({"t_acc": 0, "t_ned": 0.8, "original/t_acc": 1, "original/t_ned": 1})


def test_without_a_transcription_the_judge_s_sure_reading_is_the_truth_and_says_so() -> None:
    (one,) = verdicts(None)
    assert (one.truth, one.truth_from, one.values["t_acc"]) == ("Light", "judge", 0)
    for unsure in (Reading("Light", 0.79), Reading("I", 0.99), Reading("", 0.0)):
        (one,) = verdicts(None, lambda value, unsure=unsure: unsure)
        assert one.values == {}
        assert one.problem.startswith("no transcription, and reader is not sure of the original: ")
        assert one.truth is None
        assert verdicts("Light", lambda value, unsure=unsure: unsure)[0].values["t_acc"] == (unsure.text == "Light")


ODD = {
    "empty box": (5.0, 5.0, 5.0, 9.0),
    "box outside the image": (60.0, 2.0, 70.0, 9.0),
    "box without finite numbers": (float("nan"), 2.0, 70.0, 9.0),
}


def test_odd_boxes_are_verdicts_with_a_problem_and_cost_their_neighbours_nothing() -> None:
    good = Instance("text", BOX, 0.1, text="Light")
    inverted = Instance("text", (9.0, 9.0, 2.0, 2.0), 0.1, text="x")
    instances = [
        *(Instance("text", box, 0.1, text="x") for box in ODD.values()),
        good,
        Instance("face", BOX, 1),
        inverted,
    ]
    reader = Reader(bright)
    examined = TextBenchmark({"a": reader, "b": reader}).examine(pair(image(1.0), instances))
    assert [(one.number, one.judge) for one in examined.verdicts] == [(n, j) for j in "ab" for n in (0, 1, 2, 3, 5)]
    for wanted, one in zip([*ODD, "", "empty box"], examined.verdicts[:5], strict=True):
        assert one.problem.startswith(wanted)
        assert bool(one.problem) != bool(one.values)
    assert examined.verdicts[3].values["t_acc"] == 1
    assert reader.seen == [1, 1, 1, 1]


def test_what_a_judge_cannot_look_at_or_cannot_read_is_no_misreading() -> None:
    (one,) = verdicts("Light", lambda value: Reading("", 0.0, problem="empty crop: nothing is left"))
    assert (one.values, one.problem) == ({}, "empty crop: nothing is left")
    reader = Reader(bright)
    reader.characters = frozenset("Lightr ")  # type: ignore[attr-defined]
    texts = ("Light", "Lïght!")
    asked = pair(image(1.0), [Instance("text", BOX, 0.1, text=text) for text in texts])
    first, second = TextBenchmark({"reader": reader}).examine(asked).verdicts
    assert first.values["t_acc"] == 1
    assert (second.values, second.problem) == ({}, "characters that reader cannot read: ! ï in 'Lïght!'")


def test_images_without_texts_ask_nobody() -> None:
    reader = Reader(bright)
    assert list(TextBenchmark({"reader": reader}).examine(pair(image(0), [])).verdicts) == []
    assert reader.seen == []
    assert TextBenchmark({"reader": reader}).summary(Gathered({}, {}, 0)) == {}


def test_judges_are_checked() -> None:
    with pytest.raises(InputError, match="suite text: expected a judge of 'text' regions at least, got none"):
        TextBenchmark({})
    with pytest.raises(InputError, match="got face/knower, of 'face' regions"):
        TextBenchmark({"face/knower": Knower()})  # type: ignore[dict-item]


def test_a_judge_that_fails_is_a_sentence() -> None:
    class Mute(Reader):
        def judge(self, images: Tensor, regions: object) -> list[Reading]:
            return []

    benchmark = TextBenchmark({"own/mute": Mute(bright)})
    with pytest.raises(InputError, match="judge 'own/mute': expected 1 answers, one a region, got 0"):
        benchmark.examine(pair(image(1), [Instance("text", BOX, 0.1, text="a")]))


class BatchReader(Reader):
    """Says how long the longest text of a region's batch is."""

    def judge_in_batches(self, images: Tensor, regions: object, batches: list[tuple[str, ...]]) -> list[Reading]:
        return [Reading(str(max(map(len, batch))), 1.0) for batch in batches]


def test_batches_of_tokbench_reach_the_readers_that_ask_for_them_and_no_other() -> None:
    texts = [Instance("text", BOX, 0.1, text=text) for text in ("3", "5")]
    texts.insert(0, Instance("text", ODD["empty box"], 0.1, text="x"))
    batches = {("some.png", 0): ("aa",), ("some.png", 1): ("aaa", "b"), ("some.png", 2): ("aaaaa",)}
    judges = {"batched": BatchReader(bright), "other": Reader(bright)}
    benchmark = TextBenchmark(judges, batches)
    found = [one.read for one in benchmark.examine(pair(image(1.0), texts)).verdicts]
    assert found == [None, "3", "5", None, "Light", "Light"]
    assert list(benchmark.about["batches"]) == ["batched"]  # type: ignore[call-overload]
    assert [one.read for one in TextBenchmark(judges).examine(pair(image(1.0), texts)).verdicts][1] == "Light"
    with pytest.raises(
        InputError, match="--official-batching: expected a judge that reads in batches, text/parseq, got"
    ):
        TextBenchmark({"other": Reader(bright)}, batches)


def test_what_stands_beside_the_scores() -> None:
    judge = catalogue().build("judge", "text/ppocr-v6", {})
    about = TextBenchmark({"text/ppocr-v6": judge, "third/party": Reader(bright)}).about["judges"]
    packaged, third = about["text/ppocr-v6"], about["third/party"]  # type: ignore[index]
    assert packaged["tool"].startswith("PP-OCRv6 small recogniser (CTC), rapidocr 3.")
    assert "48 pixels high" in packaged["pipeline"]
    assert (packaged["language_model"], packaged["weights_sha256"]) == (False, judge.weights_sha256)
    assert third == {
        "tool": "not stated",
        "pipeline": "not stated",
        "weights_sha256": "ab" * 32,
        "language_model": None,
    }


def test_on_clean_renders_the_packaged_reader_reads_nearly_all() -> None:
    benchmark = TextBenchmark({"text/ppocr-v6": catalogue().build("judge", "text/ppocr-v6", {})})
    found = [verdict for one in drawn(8) for verdict in benchmark.examine(one).verdicts]
    assert len(found) >= 24
    assert all(one.values["t_acc"] == one.values["original/t_acc"] for one in found)
    assert sum(one.values["t_acc"] for one in found) / len(found) >= 0.95
