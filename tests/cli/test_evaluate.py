"""`regionloss evaluate` as a user types it: a real judge, real files, sentences for what cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from typer.testing import CliRunner

from regionloss.cli.evaluate import name_of
from regionloss.cli.main import app
from regionloss.evaluation import read_results
from regionloss.evaluation.pairs import Original, Reconstruction, ReconstructionFolder

WORDS = ("Station", "Window", "OPEN")
ONE = ("--judges", "text/ppocr-v6,face/faceres")


def evaluate(*words: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, words)])


def page() -> tuple[Image.Image, list[dict[str, Any]]]:
    """Three dark words on light grey, and what TokBench writes of them."""
    image = Image.new("RGB", (160, 120), (230, 230, 225))
    draw, entries = ImageDraw.Draw(image), []
    for number, word in enumerate(WORDS):
        at, font = (10, 5 + 38 * number), ImageFont.load_default(size=26)
        draw.text(at, word, fill=(20, 20, 60), font=font)
        box = [int(side) for side in draw.textbbox(at, word, font=font)]
        entries.append({"rec": word, "bbox": box, "ratio": (box[2] - box[0]) / 160 / len(word)})
    return image, entries


@pytest.fixture
def tokbench(tmp_path: Path) -> Path:
    image, entries = page()
    for folder in ("tokbench/images", "made/images", "same/images"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("a.png", "b.png"):
        image.save(tmp_path / "tokbench" / "images" / name)
        image.save(tmp_path / "same" / "images" / name)
    image.filter(ImageFilter.GaussianBlur(6)).save(tmp_path / "made" / "images" / "a.png")
    image.save(tmp_path / "made" / "images" / "b.webp", lossless=True)
    listed = [{"file_name": name, "height": 120, "width": 160, "annotations": entries} for name in ("a.png", "b.png")]
    (tmp_path / "tokbench" / "text_shop.json").write_text(json.dumps(listed), encoding="utf-8")
    return tmp_path


def test_a_folder_of_reconstructions_is_judged_beside_its_ceiling(tokbench: Path) -> None:
    out = tokbench / "results"
    sources = ("--reconstructions", tokbench / "made", "--data", tokbench / "tokbench", "--suite", "text,face")
    done = evaluate(*sources, "--out", out, *ONE)
    assert done.exit_code == 0, done.output
    assert "no instances" in done.output  # of faces
    summary = read_results(out).summary
    score = summary.score("t_acc")
    assert score is not None
    assert (score.value, score.ceiling, score.count, score.judge) == (0.5, 1.0, 6, "text/ppocr-v6")
    by_set = summary.score("t_acc", "set=shop")
    assert by_set is not None
    assert by_set.value == 0.5
    rows = read_results(out).instances.to_pylist()
    assert [row["read"] for row in rows[3:]] == list(WORDS)
    assert all(row["target"] and row["crop"] for row in rows)
    assert "images_per_second" not in summary.facts  # to read files is nobody's throughput
    again = evaluate(*sources, "--out", out, *ONE)
    assert "has these results already" in again.output


def test_originals_against_themselves_reach_the_ceiling(tokbench: Path) -> None:
    done = evaluate(
        *("--reconstructions", tokbench / "same", "--data", tokbench / "tokbench", "--suite", "text"),
        *("--out", tokbench / "results", "--name", "itself", *ONE),
    )
    assert done.exit_code == 0, done.output
    score = read_results(tokbench / "results").summary.score("t_acc")
    assert score is not None
    assert score.value == score.ceiling == 1.0
    assert done.output.startswith("itself on tokbench, 2 images")


def test_a_judge_that_was_trained_against_is_refused(tokbench: Path) -> None:
    from regionloss_text.judge import PPOcrJudge

    weights = [{"name": "ppocr", "sha256": PPOcrJudge().weights_sha256}]
    resolved = {"components": [{"kind": "backbone", "weights": weights}]}
    (tokbench / "run").mkdir()
    (tokbench / "run" / "resolved.yaml").write_text(yaml.safe_dump(resolved), encoding="utf-8")
    from diffusers import AutoencoderKL

    AutoencoderKL(block_out_channels=(4,), norm_num_groups=2).save_pretrained(tokbench / "run" / "vae")
    words = ("--autoencoder", tokbench / "run" / "vae", "--data", tokbench / "tokbench", "--suite", "text")
    done = evaluate(*words, "--out", tokbench / "results", "--judges", "text/ppocr-v6")
    assert done.exit_code == 2
    assert "expected a network that the loss is not computed with, got 'ppocr'" in done.output
    done = evaluate(*words, "--out", tokbench / "results", "--judges", "text/ppocr-v6", "--allow-trained")
    assert done.exit_code == 0, done.output
    facts = read_results(tokbench / "results").summary.facts
    assert facts["images_per_second"] > 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "expected either --checkpoint (--autoencoder) or --reconstructions, got neither"),
        (("--reconstructions", "made", "--checkpoint", "made"), "or --reconstructions, got both"),
        (("--reconstructions", "nothing"), "nothing"),
        (("--checkpoint", "nothing"), "expected a file or a folder, got 'nothing', which is not there"),
        (("--checkpoint", "made/images/a.png"), "give the images: --reconstructions FOLDER"),
        (("--reconstructions", "made", "--suite", "txet"), "no suite is named 'txet'. Did you mean 'text'?"),
        (("--reconstructions", "made", "--suite", "text,text"), "--suite: expected names with commas"),
        (("--reconstructions", "made", "--judges", "text/nobody"), "nobody"),
        (("--reconstructions", "made", "--judges", "face/faceres"), "expected a judge of 'text' regions at least"),
        (("--reconstructions", "made", "--setting", "128"), "--setting: expected 256, 512 or 1024, got 128"),
    ],
)
def test_what_cannot_be_evaluated_is_a_sentence(
    tokbench: Path, words: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tokbench)
    suite = () if "--suite" in words else ("--suite", "text")
    done = evaluate(*words, *suite, "--data", "tokbench", "--out", "results")
    assert done.exit_code == 2, done.output
    assert sentence in done.output
    assert not (tokbench / "results").exists()


def test_a_tokenizer_s_file_is_called_as_its_folder(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "v1.5").mkdir()
    places = ("ours/tokenizer.safetensors", "ours", "v1.5", "llamagen.pt")
    assert [name_of(tmp_path / place) for place in places] == ["ours", "ours", "v1.5", "llamagen"]


@pytest.mark.parametrize(("removed", "ceilings"), [(6, (None, None)), (5, (None, 1.0))])
def test_what_nobody_transcribed_has_no_ceiling_and_is_told(
    tokbench: Path, removed: int, ceilings: tuple[float | None, float | None]
) -> None:
    listed = json.loads((tokbench / "tokbench" / "text_shop.json").read_text())
    words = [one for image in listed for one in image["annotations"]]
    for one in words[:removed]:
        one["rec"] = ""
    (tokbench / "tokbench" / "text_shop.json").write_text(json.dumps(listed), encoding="utf-8")
    sources = ("--reconstructions", tokbench / "same", "--data", tokbench / "tokbench", "--suite", "text")
    done = evaluate(*sources, "--out", tokbench / "results", "--judges", "text/ppocr-v6")
    assert done.exit_code == 0, done.output
    assert f"{removed} of 6 readings are compared with what the judge reads in the original" in done.output
    summary = read_results(tokbench / "results").summary
    every, transcribed = summary.score("t_acc"), summary.score("t_acc", "truth=transcription")
    assert every is not None
    assert (every.value, every.count) == (1.0, 6)
    assert (every.ceiling, transcribed and transcribed.ceiling) == ceilings


def test_a_size_is_an_autoencoder_s(tokbench: Path) -> None:
    sources = ("--reconstructions", tokbench / "made", "--data", tokbench / "tokbench", "--out", tokbench / "r")
    done = evaluate(*sources, "--size", 256)
    assert done.exit_code == 2
    assert "--size: expected a checkpoint, whose input it is, got --reconstructions. Images of a" in done.output


def test_ctrl_c_says_what_is_kept(tokbench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, out = ReconstructionFolder.of, tokbench / "results"
    sources = ("--reconstructions", tokbench / "made", "--data", tokbench / "tokbench", "--suite", "text", *ONE)

    def interrupted(self: ReconstructionFolder, original: Original) -> Reconstruction:
        if original.key.endswith("b.png"):
            raise KeyboardInterrupt
        return read(self, original)

    with monkeypatch.context() as patched:
        patched.setattr(ReconstructionFolder, "of", interrupted)
        done = evaluate(*sources, "--out", out, "--part", 1)
    assert done.exit_code == 130
    assert "Stopped: 1 of 2 images done. The same command goes on from there." in done.output
    assert "size of parts (--part)" in evaluate(*sources, "--out", out, "--part", 2).output
    assert evaluate(*sources, "--out", out, "--part", 1).exit_code == 0
