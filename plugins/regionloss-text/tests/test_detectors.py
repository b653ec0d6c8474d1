"""Detectors find drawn words: boxes against those that the font reports."""

from __future__ import annotations

import functools
import io

import pytest
import torch
from PIL import Image, ImageChops, ImageDraw
from torch import Tensor

from regionloss import Detector, Regions
from regionloss.data.annotate.decode import Picture, decode
from regionloss.data.annotate.detect import to_batch
from regionloss.data.images.files import to_tensor
from regionloss.errors import InputError, WeightsError
from regionloss.testing.contracts import DetectorContract


@functools.lru_cache(maxsize=4)
def make(name: str) -> Detector:
    if name == "ppocr":
        from regionloss_text.ppocr import PPOcrDetector

        return PPOcrDetector()
    from regionloss_text.craft_detector import CraftDetector

    return CraftDetector()


def overlaps(ours: Tensor, theirs: Tensor) -> Tensor:
    """(N, M) intersection over union."""
    low = torch.maximum(ours[:, None, :2], theirs[None, :, :2])
    high = torch.minimum(ours[:, None, 2:], theirs[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (ours, theirs)]
    return shared / (areas[0][:, None] + areas[1][None] - shared)


def recall(regions: Regions, scenes) -> float:
    """Share of words that some box meets with IoU >= 0.5."""
    hits = []
    for number, scene in enumerate(scenes):
        boxes = regions.of_image(number).boxes
        best = overlaps(scene.boxes, boxes).amax(1) if len(boxes) else torch.zeros(len(scene.boxes))
        hits.append(best >= 0.5)
    return float(torch.cat(hits).float().mean())


class FindsWords(DetectorContract):
    name: str

    @pytest.fixture(autouse=True)
    def with_scenes(self, scenes) -> None:
        self.scenes = scenes

    def make(self) -> Detector:
        return make(self.name)

    def images(self) -> Tensor:
        return torch.stack([scene.image for scene in self.scenes[:2]])

    def test_finds_words(self, scenes) -> None:
        """All 16 words were found when this was written, by both."""
        found = self.make().detect(torch.stack([scene.image for scene in scenes]))
        assert recall(found, scenes) >= 0.9
        assert len(found) <= 18

    def test_finds_words_in_small_images(self, small_scenes) -> None:
        found = self.make().detect(torch.stack([scene.image for scene in small_scenes]))
        assert recall(found, small_scenes) >= 0.9

    def test_no_images(self) -> None:
        assert len(self.make().detect(torch.zeros(0, 3, 64, 64))) == 0

    def test_says_what_it_is(self) -> None:
        assert "threshold=" in self.make().version

    def test_says_nothing_while_it_works(self, capfd) -> None:
        self.make().detect(self.images())
        self.make().detect(torch.zeros(1, 3, 40, 50))
        assert capfd.readouterr() == ("", "")

    def test_refuses_other_input(self) -> None:
        with pytest.raises(InputError, match=r"images: expected \(B, 3, H, W\)"):
            self.make().detect(torch.zeros(3, 64, 64))


class TestPPOcr(FindsWords):
    name = "ppocr"

    def test_small_boxes_are_left_out(self, scenes) -> None:
        from regionloss_text.ppocr import PPOcrDetector

        images = scenes[0].image[None]
        heights = make("ppocr").detect(images).boxes
        shortest = (heights[:, 2:] - heights[:, :2]).amin(1)
        limit = float(shortest.sort().values[1]) + 0.01
        assert len(PPOcrDetector(min_side=limit).detect(images)) == int((shortest >= limit).sum()) < len(heights)

    def test_options_are_checked(self) -> None:
        from regionloss_text.ppocr import PPOcrDetector

        with pytest.raises(InputError, match=r"ppocr.threshold: expected a number in \[0, 1\], got 50\."):
            PPOcrDetector(threshold=50)
        with pytest.raises(InputError, match=r"ppocr.short_side: expected a positive number, got 0\."):
            PPOcrDetector(short_side=0)

    def test_a_package_without_the_network_is_reported(self, monkeypatch) -> None:
        from regionloss_text import rapid

        with pytest.raises(WeightsError, match=r"absent.onnx: not found in rapidocr .* Install rapidocr 3.10.0\."):
            rapid.model_file("absent.onnx")


@pytest.mark.weights
class TestCraft(FindsWords):
    name = "craft"

    @pytest.fixture(autouse=True)
    def here(self, weights) -> None:
        weights("craft-mlt-25k")

    def test_options_are_checked(self) -> None:
        from regionloss_text.craft_detector import CraftDetector

        with pytest.raises(InputError, match=r"craft.low_text: expected a number in \[0, 1\], got -1\."):
            CraftDetector(low_text=-1)


@pytest.mark.weights
def test_a_strip_is_seen_as_annotate_shows_it() -> None:
    """A blank one is blank, and a word is found where it is; `annotate` goes on below with what is at the edge."""
    blank = Image.new("RGB", (800, 20), "#406080")
    word = blank.copy()
    ImageDraw.Draw(word).text((6, 1), "strip", fill="black", font_size=14)
    for image in (blank, word):
        direct = make("ppocr").detect(to_tensor([image]))
        contents = io.BytesIO()
        image.save(contents, "PNG")
        picture = decode("strip", contents.getvalue(), 1600)
        assert isinstance(picture, Picture)
        shown = make("ppocr").detect(to_batch([picture], "cpu"))
        assert len(direct) == len(shown) == (image is word)
    ink = torch.tensor([ImageChops.difference(blank, word).getbbox()], dtype=torch.float32)
    assert (overlaps(direct.boxes, ink) > 0.5).all()
    assert (overlaps(direct.boxes, shown.boxes) > 0.8).all()
