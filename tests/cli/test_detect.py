"""`detect` on image files of every kind: what is read, printed and drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from regionloss.cli.main import app
from regionloss.pictures.boxes import annotated, sheet
from regionloss.regions import Regions

BOXES = ["--detector", "given", "--option", "boxes=[[0.25, 0.5, 0.75, 1.0]]"]
RED = (255, 59, 48)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGIONLOSS_PLUGINS", "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def detect(*words: str) -> object:
    return CliRunner().invoke(app, ["detect", *words])


def opened(name: str) -> Image.Image:
    with Image.open(name) as image:
        image.load()
        return image


def ramp(mode: str = "RGB") -> Image.Image:
    """40 x 20 pixels, dark on the left."""
    grey = np.tile(np.linspace(20, 220, 40).astype(np.uint8), (20, 1))
    return Image.fromarray(grey).convert(mode)


def rotated() -> Image.Image:
    """The ramp, stored on its side, with the EXIF tag that says so."""
    image = ramp().transpose(Image.Transpose.ROTATE_90)
    image.getexif()[0x0112] = 6
    return image


def deep() -> Image.Image:
    return Image.fromarray(np.asarray(ramp("L")).astype(np.uint16) * 257)


KINDS = {
    "plain.png": ramp,
    "grey.png": lambda: ramp("L"),
    "alpha.png": lambda: ramp("RGBA"),
    "palette.gif": lambda: ramp("P"),
    "bilevel.png": lambda: ramp("1"),
    "cmyk.jpg": lambda: ramp("CMYK"),
    "deep.png": deep,
    "rotated.jpg": rotated,
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_image_is_read_upright_and_drawn_on(folder: Path, name: str) -> None:
    image = KINDS[name]()
    image.save(name, **({"exif": image.getexif()} if name == "rotated.jpg" else {}))
    result = detect(name, *BOXES, "--out", "out/picture.png")
    assert result.exit_code == 0, result.output
    drawn = opened("out/picture.png")
    assert (drawn.mode, drawn.size) == ("RGB", (40, 20))
    row = next(line.split() for line in result.stdout.splitlines() if line.startswith(name))
    assert row[:6] == [name, "text", "10.0", "10.0", "30.0", "20.0"]
    # The box's corner pixels, from its continuous corners: columns 10 to 29, rows 10 to 19.
    for corner in [(10, 10), (29, 19)]:
        assert drawn.getpixel(corner) == RED
    assert drawn.getpixel((20, 15)) != RED
    if name != "bilevel.png":
        left, right = drawn.getpixel((2, 5)), drawn.getpixel((37, 5))
        assert max(left) < 60, "dark on the left: upright, and not clipped to white"
        assert min(right) > 180


def test_several_images_come_on_one_sheet_and_a_folder_stands_for_its_images(folder: Path) -> None:
    (folder / "in").mkdir()
    for number in range(3):
        ramp().save(f"in/{number}.png")
    result = detect("in", *BOXES, "--out", "sheet.png")
    assert result.exit_code == 0, result.output
    assert "3 regions" in result.stdout
    assert opened("sheet.png").size == (80, 40)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["words.txt", *BOXES], "words.txt: cannot be read as an image"),
        (["absent.png", *BOXES], "absent.png: "),
        (["plain.png", "--detector", "gven"], "no detector and no term is named 'gven'. Did you mean 'given'?"),
        (["plain.png", "--detector", "given"], "detector 'core/given': boxes: expected a value, got none."),
        (["plain.png", "--detector", "given", "--option", "boxes"], "--option: expected KEY=VALUE, got 'boxes'."),
        (["plain.png", *BOXES, "--out", "picture"], "--out: expected a picture such as picture.png, got 'picture'."),
    ],
)
def test_mistakes_are_sentences(folder: Path, words: list[str], sentence: str) -> None:
    Path("words.txt").write_text("no image")
    ramp().save("plain.png")
    result = detect(*words)
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_keypoints_and_scores_are_drawn() -> None:
    import torch

    image = Image.new("RGB", (60, 40), "black")
    keypoints = torch.tensor([[[30.5, 25.5], [float("nan"), 1.0]]])
    boxes, scores = torch.tensor([[10.0, 15, 50, 35]]), torch.tensor([0.75])
    picture = annotated(image, Regions("face", boxes, torch.tensor([0]), (40, 60), 1, keypoints, scores))
    assert picture.getpixel((30, 25)) == RED
    assert np.asarray(picture)[:14, 10:40].max() == 255, "the score's label stands above the box"
    assert np.asarray(image).max() == 0, "the image itself is left alone"


def test_corners_are_drawn_in_the_place_of_the_box() -> None:
    import torch

    quads = torch.tensor([[[20.5, 5.5], [40.5, 25.5], [30.5, 35.5], [10.5, 15.5]], [[torch.nan] * 2] * 4])
    boxes = torch.tensor([[10.0, 5, 41, 36], [44, 2, 58, 20]])
    regions = Regions("text", boxes, torch.tensor([0, 0]), (40, 60), 1, quads=quads)
    picture = annotated(Image.new("RGB", (60, 40), "black"), regions, colour="white")
    assert [picture.getpixel(at) for at in ((30, 15), (35, 30), (20, 25), (15, 10))] == [(255, 255, 255)] * 4
    assert picture.getpixel((10, 5)) == picture.getpixel((40, 35)) == (0, 0, 0), "no box around it"
    assert picture.getpixel((44, 2)) == (255, 255, 255), "but where there are no corners"


def test_cells_of_a_sheet_do_not_overlap() -> None:
    pictures = [Image.new("RGB", (8, 4), colour) for colour in ("red", "lime", "blue")]
    page = sheet(pictures)
    assert page.size == (16, 8)
    assert [page.getpixel((x, y)) for x, y in [(0, 0), (8, 0), (0, 4), (15, 7)]] == [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 255),
    ]
    assert max(sheet([Image.new("RGB", (2000, 900))] * 2).size) == 1280


def test_a_detector_of_a_plugin_file(folder: Path) -> None:
    ramp().save("a.png")
    lines = (
        "from regionloss import hookimpl",
        "from regionloss.detectors.whole_image import WholeImageDetector as Everything",
        "@hookimpl",
        "def register_detectors(register):",
        "    register('all', 'mine:Everything', licence='CC0-1.0', summary='everything')",
    )
    Path("mine.py").write_text("\n".join(lines))
    result = detect("a.png", "--detector", "mine/all", "--plugin", "mine.py")
    assert result.exit_code == 0, result.output
    assert "40.0" in result.output
    assert "no detector is named 'mine/all'" in detect("a.png", "--detector", "mine/all").output
    absent = detect("a.png", "--detector", "given", "--plugin", "absent.py")
    assert absent.exit_code == 2
    assert "absent.py" in absent.output


def test_of_images_that_cannot_be_read_the_others_are_shown_and_imported(folder: Path) -> None:
    Path("in").mkdir()
    ramp().save("in/a.png")
    Path("in/z.png").symlink_to("nowhere.png")
    images = [{"id": n, "file_name": name, "width": 40, "height": 20} for n, name in enumerate(("a.png", "z.png"))]
    boxes = [{"id": n, "image_id": n, "category_id": 0, "bbox": [1, 1, 9, 9]} for n in range(2)]
    contents = {"images": images, "annotations": boxes, "categories": [{"id": 0, "name": "text"}]}
    Path("coco.json").write_text(json.dumps(contents))
    done = CliRunner().invoke(app, ["regions", "import", "coco.json", "--format", "coco", "--images", "in"])
    assert "2 regions of 2 images" in done.output
    shown = CliRunner().invoke(app, ["regions", "show", "in.regions.parquet", "--images", "in"])
    assert shown.exit_code == 0
    assert "Not drawn: " in shown.output
    assert "1 of 2 images drawn" in shown.output
