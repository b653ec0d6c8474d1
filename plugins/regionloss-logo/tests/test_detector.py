"""Finding drawn logos on photographs, and what is no logo."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from regionloss_logo.detector import TemplateDetector
from regionloss_logo.marks import read_mark
from regionloss_logo.templates import template_of

import regionloss as rl
from regionloss.errors import InputError, PluginError
from regionloss.testing.contracts import DetectorContract


class TestContract(DetectorContract):
    @pytest.fixture(autouse=True)
    def given(self, logos, study) -> None:
        self.detector = TemplateDetector([str(logos / "play.png")])
        rng, logo = random.Random(0), study.drawn()["play"]
        photos = [study.photograph(name, 200).crop((0, 0, 200, 130)) for name in ("coffee", "chelsea")]
        self.batch = torch.cat([study.tensor(study.pasted(photo, "play", logo, 60, rng).image) for photo in photos])

    def make(self):
        return self.detector

    def images(self) -> torch.Tensor:
        return self.batch

    def test_finds_both(self) -> None:
        assert self.detector.detect(self.batch).image_index.tolist() == [0, 1]


@pytest.mark.parametrize("side", [32, 60, 120, 250])
@pytest.mark.parametrize("name", ["bars", "play"])
def test_finds_a_logo_at_a_third_to_three_times_its_size(name: str, side: int, logos, study) -> None:
    logo = study.drawn()[name]
    scene = study.pasted(study.photograph("coffee", 400), name, logo, side, random.Random(side))
    found = TemplateDetector([str(logos / f"{name}.png")]).detect(study.tensor(scene.image))
    assert found.texts == (name,)
    assert study.overlap(tuple(found.boxes[0].tolist()), scene.box) > 0.85


def test_finds_a_logo_in_another_light_and_through_jpeg(logos, study) -> None:
    scene = study.pasted(study.photograph("chelsea", 300), "bars", study.drawn()["bars"], 80, random.Random(3))
    detector = TemplateDetector([str(logos / "bars.png")])
    for wear in ({"brightness": 0.6}, {"brightness": 1.3}, {"quality": 40}):
        found = detector.detect(study.tensor(study.worn(scene.image, **wear)))
        assert study.overlap(tuple(found.boxes[0].tolist()), scene.box) > 0.85


def test_finds_a_picture_that_fills_its_rectangle(study, tmp_path) -> None:
    """A logo without anything transparent around it, full of texture."""
    rng = random.Random(1)
    logo = study.photograph("astronaut").crop((150, 0, 310, 120)).convert("RGBA")
    logo.save(tmp_path / "patch.png")
    scene = study.pasted(study.photograph("coffee", 300), "patch", logo, 70, rng)
    found = TemplateDetector([str(tmp_path / "patch.png")]).detect(study.tensor(scene.image))
    assert found.texts == ("patch",)
    assert study.overlap(tuple(found.boxes[0].tolist()), scene.box) > 0.85


def test_finds_two_of_one_logo_and_another(logos, study) -> None:
    rng, drawn = random.Random(5), study.drawn()
    photo = study.photograph("rocket", 400)
    boxes = []
    for name, x in (("bars", 5), ("bars", 150), ("play", 280)):
        logo = drawn[name].resize((70, 70))
        y = rng.randrange(10, 150)
        photo.paste(logo, (x, y), logo)
        boxes.append((name, (x, y, x + 70, y + 70)))
    found = TemplateDetector(str(logos)).detect(study.tensor(photo))
    assert sorted(found.texts) == ["bars", "bars", "play"]
    for name, box in boxes:
        fits = [
            study.overlap(tuple(b), box)
            for b, text in zip(found.boxes.tolist(), found.texts, strict=True)
            if text == name
        ]
        assert max(fits) > 0.85


def test_a_turned_logo_needs_its_angle(logos, study) -> None:
    scene = study.pasted(study.photograph("coffee", 300), "bars", study.drawn()["bars"], 90, random.Random(2), 30.0)
    file = [str(logos / "bars.png")]
    found = TemplateDetector(file, rotations=(0.0, 30.0)).detect(study.tensor(scene.image))
    assert study.overlap(tuple(found.boxes[0].tolist()), scene.box) > 0.8
    assert len(TemplateDetector(file, rotations=(-30.0,)).detect(study.tensor(scene.image))) == 0


def test_turning_equals_pillow(logos, study) -> None:
    """`Image.rotate` against the clock, in the template's opacity."""
    ours = template_of(read_mark(logos / "triangle.png"), 64, 20.0)
    turned = study.drawn()["triangle"].rotate(20, Image.Resampling.BICUBIC, expand=True)
    turned = turned.crop(turned.getchannel("A").point(lambda v: 255 * (v > 25)).getbbox())
    theirs = turned.getchannel("A").resize(ours.sides[::-1], Image.Resampling.BOX)
    inner = ours.opacity[ours.margin : -ours.margin, ours.margin : -ours.margin]
    wanted = torch.from_numpy(np.array(theirs)) / 255
    assert float((inner - wanted).abs().mean()) < 0.02


def test_nothing_on_photographs_without_logos(logos, study) -> None:
    detector = TemplateDetector(str(logos))
    for name in ("coffee", "brick"):
        assert len(detector.detect(study.tensor(study.photograph(name, 200)))) == 0


def test_large_pictures_are_looked_at_smaller(logos, study) -> None:
    """Boxes come back in the picture's own pixels."""
    scene = study.pasted(study.photograph("coffee", 512), "bars", study.drawn()["bars"], 200, random.Random(1))
    found = TemplateDetector([str(logos / "bars.png")], max_side=200).detect(study.tensor(scene.image))
    assert study.overlap(tuple(found.boxes[0].tolist()), scene.box) > 0.85


def test_svg_equals_its_png(logos, study, tmp_path) -> None:
    pytest.importorskip("resvg_py")
    file = tmp_path / "disc.svg"
    file.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">'
        '<circle cx="12" cy="12" r="9" fill="#c81e28"/></svg>'
    )
    pixels = read_mark(file).pixels
    assert abs(pixels.shape[1] - 384) <= 2
    assert pixels[:3, 192, 192].mul(255).round().tolist() == [200, 30, 40]
    assert float(pixels[3].mean()) == pytest.approx(torch.pi / 4, abs=0.01)
    file.write_text("<svg")
    with pytest.raises(InputError, match=r"disc\.svg: expected an SVG"):
        read_mark(file)


def test_svg_without_what_draws_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    (tmp_path / "mark.svg").write_text("<svg/>")
    with pytest.raises(PluginError, match=r"Run pip install 'regionloss-logo\[svg\]', or save the logo as a PNG"):
        TemplateDetector([str(tmp_path / "mark.svg")])


def test_files_that_are_no_logos(tmp_path, logos) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "plain.png")
    Image.new("RGBA", (32, 32)).save(tmp_path / "clear.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "none").mkdir()
    (tmp_path / "play.png").write_bytes((logos / "play.png").read_bytes())
    cases = {
        "gone.png": r"gone\.png: expected a file that can be read, got no such file\. Paths begin at the",
        "plain.png": r"plain\.png: expected a picture with an alpha channel, got mode RGB\. Make",
        "clear.png": r"clear\.png: expected a logo of at least 4 x 4 pixels, got next to nothing",
        "text.png": r"text\.png: expected a PNG, WebP or SVG picture",
        "none": r"template\.logos \(.*none\): expected PNG, WebP or SVG files in the folder, got none",
    }
    for name, sentence in cases.items():
        with pytest.raises(InputError, match=sentence):
            TemplateDetector([str(tmp_path / name)])
    with pytest.raises(InputError, match=r"template\.logos: expected at least one logo, got none\. Name PNG files"):
        rl.detect(torch.zeros(1, 3, 64, 64), TemplateDetector())
    with pytest.raises(InputError, match=r"expected files of different names, got 'play' twice"):
        TemplateDetector([str(tmp_path / "play.png"), str(logos / "play.png")])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sizes": (50, 20)}, r"template\.sizes: expected \[smallest, largest\]"),
        ({"min_score": 2.0}, r"template\.min_score, max_overlap: expected numbers in \[0, 1\], got 2\.0 and 0\.4"),
        ({"rotations": ()}, r"template\.max_side, rotations: expected at least 32 pixels and one angle"),
    ],
)
def test_options_out_of_range(options, sentence: str, logos) -> None:
    with pytest.raises(InputError, match=sentence):
        TemplateDetector(str(logos), **options)


def test_the_version_follows_the_files(logos) -> None:
    """A side-car made with other logos is made anew."""
    first, second = (TemplateDetector([str(logos / name)]).version for name in ("play.png", "bars.png"))
    assert first != second
