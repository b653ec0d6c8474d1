"""The report: its numbers are computed again from the same pictures by other means, its page is parsed."""

from __future__ import annotations

import base64
import html
import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from regionloss.data.batches.batch import Batch
from regionloss.data.words.render import text_regions
from regionloss.evaluation.metrics import Interval
from regionloss.evaluation.report import Judged, JudgeName, ReportData, judge_pictures, write_training_report
from regionloss.evaluation.report.curves import loss_curves, smoothed
from regionloss.evaluation.report.earlier import curves_of, duration, findings, number, used_weights
from regionloss.evaluation.report.pictures import face_strips, word_strips
from regionloss.evaluation.report.scores import scores
from regionloss.judges import Embedding, Reading
from regionloss.regions import Regions

SIZE = 32
VOID = frozenset({"meta", "img", "br"})


def pictures(seed: int, count: int) -> Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def text_batch(words: int = 40) -> Batch:
    """One word an image, in the same box."""
    box = (4, 6, 28, 18)
    per_image = [text_regions([box], [f"Word{i}"], (SIZE, SIZE)) for i in range(words)]
    index = torch.arange(words)
    texts = tuple(f"Word{i}" for i in range(words))
    boxes = torch.cat([regions.boxes for regions in per_image])
    return Batch(pictures(0, words), {"text": Regions("text", boxes, index, (SIZE, SIZE), words, texts=texts)})


def face_batch() -> Batch:
    boxes = torch.tensor([[4.0, 4.0, 28.0, 28.0]] * 3)
    return Batch(pictures(1, 3), {"face": Regions("face", boxes, torch.arange(3), (SIZE, SIZE), 3)})


def row(name: str, test: dict[str, Batch], noise: float, right: int, part: str) -> Judged:
    """Pictures with noise; the first `right` words are read, the others miss their last letter."""
    seed = len(name)
    images = {k: (b.images + noise * pictures(seed, len(b.images))).clamp(-1, 1) for k, b in test.items()}
    words = test["text"].regions["text"].texts or ()
    readings = [Reading(word if i < right else word[:-1], 0.9) for i, word in enumerate(words)]
    angle = torch.tensor(noise)
    embeddings = torch.stack([torch.cos(angle), torch.sin(angle)]).repeat(3, 1)
    return Judged(name, f"with noise {noise}", images, {"text": readings}, {"face": embeddings}, part)


def records() -> list[dict[str, object]]:
    before = [{"part": "base", "step": i, "loss/total": 1 / (i + 1), "loss/text": 2.0} for i in range(20)]
    arms = [
        {"part": f"arms/{arm}", "step": i, "loss/total": 0.05 + i, "loss/text": 1.0, "lr": 1e-3}
        for arm in ("control", "ours")
        for i in range(10)
    ]
    return [*before, *arms, {"part": "arms/ours", "step": 0, "gradient_at_start/text": 3.0}]


@pytest.fixture
def data() -> ReportData:
    test = {"text": text_batch(), "face": face_batch()}
    original = row("original", test, 0.0, 40, "")
    return ReportData(
        title="A <small> tokenizer & its words",
        test=test,
        original=original,
        start=row("start", test, 0.5, 10, "base"),
        arms=[row("control", test, 0.4, 12, "arms/control"), row("ours", test, 0.2, 30, "arms/ours")],
        judges={"text": JudgeName("text/reader", "ab" * 32), "face": JudgeName("face/knower", "cd" * 32)},
        notes=["Skipped: bad.jpg."],
        metrics=records(),
        command="regionloss train recipes/quickstart.yaml seed=3",
        resolved={
            "recipe": {"version": 1, "terms": {"text": {"use": "text/packaged"}}},
            "versions": {"torch": "9.9"},
            "components": [
                {
                    "name": "text/reader-net",
                    "kind": "backbone",
                    "licence": "Apache-2.0",
                    "distribution": "regionloss-text",
                    "version": "0.1",
                    "weights": [{"name": "text/file", "sha256": "ef" * 32, "licence": "not stated"}],
                }
            ],
        },
        seconds={"pretrain": 301.2, "judging": 2.0},
        credits=[("photograph 'coffee'", "CC0-1.0")],
    )


class Page(HTMLParser):
    """Tags that are open must be closed; addresses are collected."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def parsed(data: ReportData, folder: Path) -> Page:
    page = Page(write_training_report(data, folder).read_text(encoding="utf-8"))
    assert page.open == []
    return page


def test_the_page_needs_no_script_and_no_other_file(data: ReportData, tmp_path: Path):
    page = parsed(data, tmp_path / "new" / "folder")
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert page.addresses
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in page.addresses)
    assert not (tmp_path / "new" / "folder" / "report.tmp").exists()


def test_the_page_says_the_numbers_the_words_and_how_it_was_made(data: ReportData, tmp_path: Path):
    text = parsed(data, tmp_path).text
    for wanted in (
        "A <small> tokenizer & its words",
        "Of 40 unseen words in 40 images, the judge reads 75.0% after 'ours' and 30.0% after 'control': +45.0 points",
        "40 images , 40 text regions",
        "text/reader",
        "abababababababab",
        "regionloss train recipes/quickstart.yaml seed=3",
        "Skipped: bad.jpg.",
        "5 min 01 s",
        "photograph 'coffee'",
        "CC0-1.0",
        "text/packaged",
        "text/reader-net",
        "ef" * 32,
        "9.9",
        "Word3 ✓",
        "Word1 ✗",
    ):
        assert wanted in text or wanted.replace(" ,", ",") in text, wanted


def test_reading_scores_are_those_counted_by_hand(data: ReportData):
    found = scores(data, data.arms[0], "text")
    assert sum(found["accuracy"].values) == 12 * 100
    lengths = [len(f"Word{i}") for i in range(40)]
    by_hand = [100.0 if i < 12 else 100 * (1 - 1 / lengths[i]) for i in range(40)]
    assert found["similarity"].values == pytest.approx(by_hand)
    difference = scores(data, data.arms[1], "text")["accuracy"].minus(found["accuracy"])
    assert difference is not None
    assert difference.mean == pytest.approx(100 * 18 / 40)
    half = 1.96 * math.sqrt(0.45 * 0.55 / 40) * 100
    assert difference.low == pytest.approx(45 - half, abs=3.0)
    assert difference.high == pytest.approx(45 + half, abs=3.0)


def test_pixel_scores_equal_scikit_image_s(data: ReportData):
    found = scores(data, data.arms[0], "text")
    a = data.original.images["text"].double().numpy()
    b = data.arms[0].images["text"].double().numpy()
    inside = np.zeros((SIZE, SIZE), bool)
    inside[6:18, 4:28] = True
    for name, where in (("psnr", inside | True), ("psnr_inside", inside), ("psnr_outside", ~inside)):
        reference = [
            peak_signal_noise_ratio(x[:, where], y[:, where], data_range=2.0) for x, y in zip(a, b, strict=True)
        ]
        assert found[name].values == pytest.approx(reference, rel=1e-9)


def test_likeness_is_the_cosine_of_the_angle(data: ReportData):
    assert scores(data, data.arms[0], "face")["face"].values == pytest.approx([math.cos(0.4)] * 3)


def test_the_originals_have_no_pixel_scores_and_equal_images_no_infinite_ones(data: ReportData):
    assert set(scores(data, data.original, "text")) == {"accuracy", "similarity"}
    same = replace(data.arms[0], images=data.original.images)
    found = scores(data, same, "text")
    assert found["psnr"].values == ()
    assert found["psnr"].interval is None
    assert found["psnr"].minus(scores(data, data.arms[1], "text")["psnr"]) is None


def test_words_without_transcription_are_compared_with_the_reading_of_the_original(data: ReportData):
    bare = replace(data.test["text"].regions["text"], texts=None)
    folder = Batch(data.test["text"].images, {"text": bare})
    readings = [Reading(f"seen{i}", 1.0 if i < 36 else 0.5) for i in range(40)]
    original = replace(data.original, readings={"folder": readings}, images={"folder": folder.images})
    arm = Judged("arm", "", {"folder": folder.images * 0.5}, {"folder": [*readings[:30], *[Reading("", 0.0)] * 10]})
    mine = replace(data, test={"folder": folder}, original=original, arms=[arm], start=None)
    found = scores(mine, arm, "folder")
    assert len(found["accuracy"].values) == 36, "readings of which the judge is not sure do not count"
    assert len(word_strips(mine, "folder", 99)) == 36
    assert sum(found["accuracy"].values) == 30 * 100
    assert sum(found["similarity"].values) == 30 * 100


def test_a_difference_within_noise_is_called_so(data: ReportData):
    nearly = replace(data, arms=[data.arms[0], row("other", dict(data.test), 0.4, 13, "x")])
    assert "within the noise" in findings(nearly)[0]
    assert "within the noise" not in findings(data)[0]


def test_without_judges_and_start_the_page_still_stands_and_says_so(data: ReportData, tmp_path: Path):
    bare = [replace(r, readings={}, embeddings={}) for r in (data.original, *data.arms)]
    page = parsed(
        replace(data, original=bare[0], arms=bare[1:], start=None, judges={}, metrics=(), notes=["No judge."]), tmp_path
    )
    assert "No independent judge of faces was there" in page.text
    assert "svg" not in page.tags
    assert "Words read exactly, %" not in page.text
    assert "PSNR, dB" in page.text


def test_what_a_judge_reads_is_text_and_never_markup(data: ReportData, tmp_path: Path):
    evil = [Reading("<script>alert(1)</script>", 0.1)] * 40
    page = parsed(replace(data, arms=[replace(data.arms[0], readings={"text": evil}), data.arms[1]]), tmp_path)
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.text


def test_pictures_are_the_pixels_of_the_word_and_its_margin(data: ReportData):
    strip = word_strips(data, "text", 24)[7]
    assert len(word_strips(data, "text", 24)) == 24
    assert [p.label for p in strip.pictures] == ["original", "start", "control", "ours"]
    content = base64.b64decode(strip.pictures[3].source.partition(",")[2])
    shown = np.asarray(Image.open(io.BytesIO(content)))
    pixels = (data.arms[1].images["text"][7, :, 4:20, 2:30] + 1) * 127.5
    assert np.array_equal(shown, pixels.round().byte().permute(1, 2, 0).numpy())
    assert (strip.pictures[3].width % 28, strip.pictures[3].height % 16) == (0, 0)
    assert [p.good for p in strip.pictures] == [True, True, True, True]
    assert [p.good for p in word_strips(data, "text", 24)[20].pictures] == [True, False, False, True]


def test_faces_carry_the_judge_s_likeness_except_the_original(data: ReportData):
    strip = face_strips(data, "face", 2)[0]
    assert [p.caption for p in strip.pictures] == ["", f"{math.cos(0.5):.2f}", f"{math.cos(0.4):.2f}", "0.98"]


def test_curves_have_a_panel_for_each_loss_that_arms_logged(data: ReportData):
    drawing = loss_curves(curves_of(data))
    assert drawing.startswith("<svg")
    assert "text term" in drawing
    assert "total" in drawing
    assert "gradient_at_start" not in drawing
    assert drawing == loss_curves(curves_of(data)), "the same numbers give the same file"
    assert loss_curves(curves_of(replace(data, metrics=()))) == ""


def test_smoothing_is_a_mean_of_neighbours():
    assert smoothed([1.0] * 30) == pytest.approx([1.0] * 30)
    values = [float(i) for i in range(30)]
    assert smoothed(values)[10] == pytest.approx(10.0)
    assert smoothed(values)[0] == pytest.approx(2.0)


class BrightnessJudge:
    """Measures something real of each region: its mean brightness, as a word or as a vector."""

    weights_sha256 = "00"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def judge(self, images: Tensor, regions: Regions) -> list[Reading] | list[Embedding]:
        assert float(images.abs().max()) <= 1.0
        boxes = zip(regions.image_index.tolist(), regions.boxes.int().tolist(), strict=True)
        means = [float(images[i, :, y1:y2, x1:x2].mean()) for i, (x1, y1, x2, y2) in boxes]
        if self.kind == "text":
            return [Reading(f"{mean:.3f}", 1.0) for mean in means]
        return [Embedding(torch.tensor([math.cos(mean), math.sin(mean)])) for mean in means]


def test_judging_asks_each_judge_about_its_kind_and_clips_what_no_viewer_shows(data: ReportData):
    judges = {kind: BrightnessJudge(kind) for kind in ("text", "face")}
    images = {name: batch.images * 1.5 for name, batch in data.test.items()}
    judged = judge_pictures("a", "b", images, data.test, judges, "arms/a")
    assert set(judged.readings) == {"text"}
    assert set(judged.embeddings) == {"face"}
    assert judged.embeddings["face"].shape == (3, 2)
    wanted = f"{float(images['text'][5].clamp(-1, 1)[:, 6:18, 4:28].mean()):.3f}"
    assert judged.readings["text"][5].text == wanted


def test_numbers_have_the_digits_of_their_column():
    assert number(Interval(41.26, 0, 0), "accuracy") == "41.3"
    assert number(23.456, "psnr") == "23.46"
    assert number(None, "psnr") == "–"
    assert number(-0.5, "accuracy", True) == "−0.5"
    assert number(0.5, "psnr", True) == "+0.50"
    assert duration(59.04) == "59.0 s"
    assert duration(61.2) == "1 min 01 s"


def test_weights_shared_by_components_are_listed_once():
    part = {"weights": [{"name": "w", "sha256": "", "licence": "MIT"}]}
    assert used_weights({"components": [part, part]}) == part["weights"]


@pytest.mark.parametrize("name", ["$x^$", r"\$a_$b$", "_hidden", "<b>&amp;</b>", "{x:d} %s", "日本", "a\nb", "\x01"])
def test_what_users_name_is_drawn_as_text_and_never_as_a_formula(data: ReportData, name: str):
    renamed = [{key.replace("text", name): value for key, value in record.items()} for record in records()]
    arms = [data.arms[0], replace(data.arms[1], name=f"{name} arm")]
    drawing = html.unescape(loss_curves(curves_of(replace(data, metrics=renamed, arms=arms))))
    assert all(line in drawing for what in ("term", "arm") for line in f"{name} {what}".splitlines())


def test_a_picture_that_fails_is_named_on_the_page_and_nothing_else_is_lost(data: ReportData, tmp_path: Path):
    text = data.test["text"]
    outside = replace(text.regions["text"], boxes=text.regions["text"].boxes.clone())
    outside.boxes[0] = float("nan")
    broken = replace(data, test={**data.test, "text": replace(text, regions={"text": outside})})
    page = parsed(broken, tmp_path)
    assert "Not drawn: the words (ValueError: cannot convert float NaN to integer)." in page.text
    assert "svg" in page.tags
    assert "Whole images" in page.text
    assert "Not drawn" not in parsed(data, tmp_path).text


def test_a_lone_half_of_a_character_does_not_lose_the_page(data: ReportData, tmp_path: Path):
    page = parsed(replace(data, notes=["file \ud83d"]), tmp_path)
    assert r"file \ud83d" in page.text
