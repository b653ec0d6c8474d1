"""Evaluations in parts: the same results however they were interrupted or shared, nothing lost in silence."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from regionloss.data.images import to_image
from regionloss.data.sidecars import Scan, Sidecar, sidecar_path, write_sidecar
from regionloss.disk import guarded
from regionloss.errors import InputError
from regionloss.evaluation import Evaluation, Results, evaluate, read_results
from regionloss.evaluation.benchmarks import Examined, Gathered, Measure, Verdict
from regionloss.evaluation.pairs import Pair, ReconstructionFolder, open_originals
from regionloss.evaluation.parts import PartRows

IMAGES = 7


class Distance:
    """A benchmark whose every answer a reader can compute: mean absolute differences."""

    name = "distance"
    measures: ClassVar[dict[str, Measure]] = {
        "mae": Measure("Error", per="image", higher_is_better=False),
        "box": Measure("Error in boxes", per="instance", higher_is_better=False),
        "largest": Measure("Largest", per="set", higher_is_better=False),
        "pixels": Measure("Pixels", per="set"),
    }
    about: ClassVar[dict[str, str]] = {"tool": "torch"}

    def examine(self, pair: Pair) -> Examined:
        difference = (pair.target - pair.output).abs()
        verdicts = []
        for number, one in enumerate(pair.original.instances):
            x1, y1, x2, y2 = map(int, one.box)
            value = float(difference[..., y1:y2, x1:x2].mean())
            verdicts.append(Verdict(number, "eye", {"box": value, "original/box": 0.0}, problem=""))
        return Examined(
            {"mae": float(difference.mean())},
            verdicts,
            {"error": difference.mean((0, 2, 3)).numpy()},
            {"pixels": np.array(difference[0, 0].numel())},
        )

    def summary(self, gathered: Gathered) -> dict[str, float]:
        largest = max(float(block.max()) for block in gathered.features["error"])
        return {"largest": largest, "pixels": float(gathered.counts["pixels"])}


def image_of(number: int) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    return torch.rand(3, 24 + number, 32, generator=generator) * 2 - 1


def folders(root: Path) -> tuple[Path, Path]:
    """Make originals, each with `number` text regions, and reconstructions that differ by a constant."""
    originals, results = root / "photos", root / "made"
    rows = []
    for number in range(IMAGES):
        image = image_of(number)
        for folder, shift in ((originals, 0.0), (results, 0.1 * (number + 1))):
            (folder / "a").mkdir(parents=True, exist_ok=True)
            to_image((image + shift).clamp(-1, 1)).save(folder / "a" / f"{number}.png")
        height = 24 + number
        regions = [
            {"kind": "text", "box": [0.0, 0.1 * i, 0.5, 0.1 * (i + 1)], "quad": None, "keypoints": None, "score": 1.0}
            | {"text": "word", "detector": "given"}
            for i in range(number)
        ]
        scan = Scan("given", kind="text")
        rows.append(
            {"key": f"a/{number}.png", "width": 32, "height": height, "scans": [vars(scan)], "regions": regions}
        )
    write_sidecar(sidecar_path("", str(originals)), Sidecar.of(rows))
    return originals, results


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    originals, results = folders(tmp_path)
    return Evaluation(
        open_originals([str(originals)]), ReconstructionFolder(results), [Distance()], tmp_path / "out", part=2
    )


def contents(results: Results) -> tuple[object, ...]:
    return results.summary, results.images.to_pylist(), results.instances.to_pylist()


def test_scores_are_the_plain_means(evaluation: Evaluation) -> None:
    found = evaluate(evaluation)
    errors, boxes = [], []
    for number in range(IMAGES):
        pair = [np.asarray(to_image((image_of(number) + s).clamp(-1, 1))) for s in (0.0, 0.1 * (number + 1))]
        difference = np.abs(pair[0].astype(float) - pair[1].astype(float)) / 127.5
        errors.append(difference.mean())
        for i in range(number):
            top, bottom = int(np.float32(0.1 * i) * (24 + number)), int(np.float32(0.1 * (i + 1)) * (24 + number))
            boxes.append(difference[top:bottom, :16].mean())
    mae, box = found.summary.score("mae"), found.summary.score("box")
    assert mae is not None
    assert mae.value == pytest.approx(np.mean(errors), abs=1e-6)
    assert box is not None
    assert box.value == pytest.approx(np.mean(boxes), abs=1e-6)
    assert (box.count, box.judge, box.ceiling) == (sum(range(IMAGES)), "eye", 0.0)
    assert box.low is not None
    assert box.high is not None
    assert box.low <= box.value <= box.high
    pixels = found.summary.score("pixels")
    assert pixels is not None
    assert pixels.value == sum(32 * (24 + number) for number in range(IMAGES))
    assert len(found.instances) == sum(range(IMAGES))
    assert not list(evaluation.folder.glob("parts"))
    assert contents(read_results(evaluation.folder)) == contents(found)


def test_interrupted_and_shared_evaluations_end_as_an_unbroken_one(evaluation: Evaluation, tmp_path: Path) -> None:
    unbroken = contents(evaluate(evaluation))
    for name, ranks in (("stopped", [(0, 1)]), ("shared", [(1, 2), (0, 2)])):
        other = replace(evaluation, folder=tmp_path / name)
        other.prepare()
        other.examine(1, 3)  # a third of the parts, then it was killed
        leftover = other.folder / "parts" / ".000002.host-1-1.tmp"
        leftover.mkdir()
        for rank, size in ranks:
            other.examine(rank, size)
        assert contents(other.finish()) == unbroken


def test_an_evaluation_that_is_done_is_read(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    first = contents(evaluate(evaluation))
    monkeypatch.setattr(Distance, "examine", None)
    assert contents(evaluate(evaluation)) == first


def test_images_are_the_same_however_their_folder_is_called(
    evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`compare` sets results of one set of images side by side, and of others apart."""
    first = evaluate(evaluation).summary.data_identity
    monkeypatch.chdir(tmp_path)
    shutil.copytree("photos", "elsewhere/photos")
    shutil.copy("photos.regions.parquet", "elsewhere/photos.regions.parquet")
    for number, path in enumerate(("photos", "./photos/", "elsewhere/photos")):
        other = replace(evaluation, originals=open_originals([path]), folder=tmp_path / f"out{number}")
        assert evaluate(other).summary.data_identity == first
    to_image(image_of(0).flip(2)).save("elsewhere/photos/a/0.png")
    other = replace(evaluation, originals=open_originals(["elsewhere/photos"]), folder=tmp_path / "changed")
    assert evaluate(other).summary.data_identity != first


def test_two_evaluations_do_not_work_in_one_folder(evaluation: Evaluation) -> None:
    with guarded(evaluation.folder, "evaluation"), pytest.raises(InputError, match="another evaluation is at work"):
        evaluate(evaluation)


def test_somebody_elses_plan_is_left_alone(evaluation: Evaluation) -> None:
    (evaluation.folder / "parts").mkdir(parents=True)
    (evaluation.folder / "plan.json").write_text('{"goals": []}')
    for again in (False, True):
        with pytest.raises(InputError, match=r"plan\.json: expected the plan of an evaluation, got a file without"):
            evaluate(evaluation, again=again)
    assert (evaluation.folder / "plan.json").read_text() == '{"goals": []}'
    assert (evaluation.folder / "parts").is_dir()


def test_another_evaluation_in_the_folder_is_refused(evaluation: Evaluation) -> None:
    evaluate(evaluation)
    other = replace(evaluation, setting=256)
    with pytest.raises(InputError, match=r"an evaluation of other setting\. Choose another --out, or say --again"):
        evaluate(other)
    assert evaluate(other, again=True).summary.setting == 256


def test_what_cannot_be_judged_is_named_and_counted(evaluation: Evaluation, tmp_path: Path) -> None:
    made = tmp_path / "made" / "a"
    (made / "1.png").unlink()
    to_image(torch.zeros(3, 5, 5)).save(made / "2.png")
    (made / "3.png").write_bytes(b"no image")
    (tmp_path / "photos" / "a" / "4.png").write_bytes(b"no image")
    shutil.copy(made / "6.png", made / "6.webp")
    (made / "6.png").rename(made / "6.gif")
    evaluation = replace(
        evaluation,
        reconstructions=ReconstructionFolder(tmp_path / "made"),
        originals=open_originals([str(tmp_path / "photos")]),
    )
    found = evaluate(evaluation).summary
    assert found.images == 2
    assert {problem.what: (problem.count, problem.first[0][:7]) for problem in found.problems} == {
        "missing reconstructions": (1, "a/1.png"),
        "reconstructions of another size": (1, "a/2.png"),
        "unreadable reconstructions": (1, "a/3.png"),
        "unreadable images": (1, "a/4.png"),
        "several reconstructions of one image": (1, "a/6.png"),
    }


def test_nothing_to_judge_gives_no_numbers(evaluation: Evaluation, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "made" / "a")
    to_image(torch.zeros(3, 5, 5)).save(tmp_path / "made" / "other.png")

    class Quiet(Distance):
        def summary(self, gathered: Gathered) -> dict[str, float]:
            assert gathered.images == 0
            return {}

    other = replace(evaluation, reconstructions=ReconstructionFolder(tmp_path / "made"), benchmarks=[Quiet()])
    found = evaluate(other)
    assert found.summary.scores == []
    assert len(found.images) == IMAGES
    assert len(found.instances) == 0


def test_what_no_judge_can_look_at_is_one_problem_however_many_judges_there_are() -> None:
    part = PartRows(images=[{"key": "a.png"}])
    outside, said = "box outside the image: [9, 9, 10, 10]", [("one", "weak"), ("two", "weak"), ("two", "other")]
    verdicts = [Verdict(number, judge, problem=outside) for number in (0, 1) for judge in ("one", "two", "three")]
    part.add("text", Examined(verdicts=[*verdicts, *(Verdict(2, judge, problem=why) for judge, why in said)]), [])
    assert part.problems == [f"{outside}: a.png", f"{outside}: a.png", "weak: a.png", "other: a.png"]
