"""What is seen of a folder before a run: rare kinds are tested, trained on, and on the sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor
from torch import Tensor

from insighttok_ref.trainers.finetune.options import FolderOptions
from insighttok_ref.trainers.finetune.pictures import COLOURS, LARGEST, SIDE, Looked, look, sheet_of
from regionloss.data.annotate import Annotated
from regionloss.data.sidecars import Scan
from regionloss.regions import Regions

RED = (200, 0, 0)


class Blobs:
    """Finds its kind on the pictures of one colour, or on all."""

    def __init__(self, kind: str, only_red: bool) -> None:
        self.kind, self.only_red = kind, only_red

    def detect(self, images: Tensor) -> Regions:
        found = not self.only_red or float(images[0, 0].mean()) > float(images[0, 2].mean()) + 0.5
        boxes = torch.tensor([[4.0, 4.0, 20.0, 16.0]])[: int(found)]
        return Regions.single(self.kind, boxes, (images.shape[2], images.shape[3]))


def looked(root: Path, red: list[int], count: int = 40) -> Looked:
    photos = root / "photos"
    photos.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (40, 36), RED if number in red else (0, 60, 5 * number)).save(photos / f"{number:02d}.png")
    detectors = {Scan(kind, kind=kind): Blobs(kind, kind == "face") for kind in ("text", "face")}
    options = FolderOptions(images=str(photos), image_size=32, test=6, workers=0)
    return look(options, detectors, {}, root / "run")


def test_a_kind_that_two_pictures_have_is_tested_and_trained_on(tmp_path: Path) -> None:
    for seed, red in enumerate(([3, 30], [0, 39], [11, 12])):
        found = looked(tmp_path / str(seed), red)
        assert found.regions["face"] == 1
        photos = tmp_path / str(seed) / "photos"
        assert found.data.notes[0] == f"{photos}: 40 images used, 4 of them for testing only (with 'face' and 'text')."


def test_what_is_not_tested_is_said(tmp_path: Path) -> None:
    found = looked(tmp_path, [5])
    assert found.regions["face"] == 1
    assert found.data.notes[0].endswith("4 of them for testing only (with 'text', none with 'face').")


def test_the_sheet_shows_a_rare_kind_first(tmp_path: Path) -> None:
    looked(tmp_path, [7, 25, 33])
    with Image.open(tmp_path / "run" / "regions.png") as sheet:
        factor = SIDE // 40
        corner = sheet.convert("RGB").getpixel((factor * 2, factor * 30))
    assert corner == RED


def test_labels_on_large_pictures_can_be_read(tmp_path: Path) -> None:
    """As large as on a picture that was small before they were drawn."""

    def labelled(width: int) -> int:
        height, scale = width * 2 // 5, width / 3000
        found = Regions.single("text", scale * torch.tensor([[400.0, 300.0, 2000.0, 900.0]]), (height, width))
        sheet = sheet_of([Annotated("wide.png", Image.new("RGB", (width, height)), {"text": found})])
        return int((np.asarray(sheet) == ImageColor.getrgb(COLOURS[0])).all(-1).sum())

    assert labelled(3000) == pytest.approx(labelled(LARGEST), rel=0.1)
