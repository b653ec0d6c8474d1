"""The second reader without a language model: it reads drawn words, decoded as a plain loop does."""

from __future__ import annotations

import functools

import pytest
import torch
from regionloss_text.crnn_judge import CHARACTERS, CrnnEnglishG2Judge, decode

from regionloss import Regions
from regionloss.errors import InputError, WeightsError
from regionloss.testing.contracts import JudgeContract

pytestmark = pytest.mark.weights


@functools.lru_cache(maxsize=1)
def judge() -> CrnnEnglishG2Judge:
    return CrnnEnglishG2Judge()


class TestCrnnEnglishG2Judge(JudgeContract):
    @pytest.fixture(autouse=True)
    def given(self, weights) -> None:
        weights("english-g2")

    def make(self) -> CrnnEnglishG2Judge:
        return judge()


def test_reads_drawn_words(scenes, weights) -> None:
    weights("english-g2")
    right = [
        reading.text == word
        for scene in scenes
        for reading, word in zip(judge().judge(scene.image[None], scene.regions()), scene.words, strict=True)
    ]
    assert sum(right) >= len(right) - 1


def test_a_reading_does_not_depend_on_neighbours(scenes, weights) -> None:
    weights("english-g2")
    scene = scenes[0]
    regions = scene.regions()
    together = judge().judge(scene.image[None], regions)
    for i, reading in enumerate(together):
        (alone,) = judge().judge(scene.image[None], regions.select(torch.tensor([i])))
        assert (alone.text, alone.score) == (reading.text, pytest.approx(reading.score, abs=1e-4))


def test_a_strip_of_one_row_is_no_trouble(weights) -> None:
    weights("english-g2")
    strips = torch.tensor([[0.0, 3.0, 400.0, 3.5], [3.0, 0.0, 3.5, 30.0]])
    assert len(judge().judge(torch.zeros(1, 3, 30, 400), Regions.single("text", strips, (30, 400)))) == 2


def test_decoding_equals_a_plain_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    for seed in range(20):
        # Few classes, so that characters repeat and blanks lie between.
        logits = torch.randn(24, 97, generator=generator)
        logits[:, 4 + seed % 3 :] -= 9
        steps = logits.softmax(1)
        text, previous, product, count = "", 0, 1.0, 0
        for step in steps:
            best = max(range(97), key=lambda i, step=step: float(step[i]))
            if best:
                product, count = product * float(step[best]), count + 1
                text += CHARACTERS[best - 1] if best != previous else ""
            previous = best
        found = decode(steps)
        assert found.text == text
        assert found.score == pytest.approx(product ** (2 / count**0.5) if count else 0.0, rel=1e-4)
    blank = torch.zeros(5, 97)
    blank[:, 0] = 1
    assert (decode(blank).text, decode(blank).score) == ("", 0.0)


def test_wrong_weights_and_options_are_sentences(tmp_path, weights) -> None:
    from regionloss.weights import load_state_dict

    tensors = load_state_dict(weights("english-g2"))
    del tensors["module.Prediction.bias"]
    torch.save(tensors, tmp_path / "less.pth")
    with pytest.raises(WeightsError, match="expected those of english_g2, got Missing key"):
        CrnnEnglishG2Judge(str(tmp_path / "less.pth"))
    with pytest.raises(InputError, match=r"crnn-english-g2\.margin: expected 0 or more, got -1"):
        CrnnEnglishG2Judge(margin=-1)


def test_it_is_one_of_the_loss_networks_and_says_so(weights) -> None:
    from regionloss.weights import sha256_of

    assert judge().weights_sha256 == sha256_of(weights("english-g2"))
