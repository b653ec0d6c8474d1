"""The judge reads drawn words, and depends on nothing but the region it reads."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import pytest
import torch
from regionloss_text.judge import PPOcrJudge
from regionloss_text.page_judge import PPOcrPageJudge

from regionloss import Regions
from regionloss.errors import InputError
from regionloss.testing.contracts import JudgeContract


@functools.lru_cache(maxsize=1)
def judge() -> PPOcrJudge:
    return PPOcrJudge()


class TestPPOcrJudge(JudgeContract):
    def make(self) -> PPOcrJudge:
        return judge()


def test_reads_drawn_words(scenes, small_scenes) -> None:
    """24 of 24 when this was written."""
    right = [
        reading.text == word
        for scene in (*scenes, *small_scenes)
        for reading, word in zip(judge().judge(scene.image[None], scene.regions()), scene.words, strict=True)
    ]
    assert sum(right) >= len(right) - 1


def test_reads_what_the_detector_found(scenes) -> None:
    from regionloss_text.ppocr import PPOcrDetector

    images = torch.stack([scene.image for scene in scenes[:2]])
    found = {reading.text for reading in judge().judge(images, PPOcrDetector().detect(images))}
    assert found == {word for scene in scenes[:2] for word in scene.words}


def test_reads_nothing_on_an_empty_ground() -> None:
    regions = Regions("text", torch.tensor([[2.0, 2.0, 60.0, 20.0]]), torch.tensor([0]), (64, 64), 1)
    (reading,) = judge().judge(torch.zeros(1, 3, 64, 64), regions)
    assert (reading.text, reading.score) == ("", 0.0)


def test_a_reading_does_not_depend_on_neighbours(scenes) -> None:
    scene = scenes[0]
    regions = scene.regions()
    height, width = regions.image_size
    wide = torch.tensor([[0.0, 0.0, width, height / 8]])
    more = Regions("text", torch.cat([wide, regions.boxes]), torch.zeros(5, dtype=torch.int64), (height, width), 1)
    together = judge().judge(scene.image[None], more)[1:]
    alone = [judge().judge(scene.image[None], regions.select(torch.tensor([i])))[0] for i in range(4)]
    assert [reading.text for reading in together] == [reading.text for reading in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-4)


def test_its_hash_is_that_of_the_file_and_no_default_term_computes_with_it() -> None:
    import rapidocr

    from regionloss.hooks.catalogue import catalogue

    known = catalogue()
    used = known.find("backbone", known.term("text").backbone, plugin="text").weights

    file = Path(rapidocr.__file__).parent / "models" / "PP-OCRv6_rec_small.onnx"
    assert judge().weights_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert judge().weights_sha256 not in {known.weight(name, plugin="text").sha256 for name in used}


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match=r"ppocr-v6: expected margin >= 0 and batch_size >= 1, got margin=-1"):
        PPOcrJudge(margin=-1)


class TestPPOcrPageJudge(JudgeContract):
    def make(self) -> PPOcrPageJudge:
        return page_judge()


@functools.lru_cache(maxsize=1)
def page_judge() -> PPOcrPageJudge:
    return PPOcrPageJudge()
