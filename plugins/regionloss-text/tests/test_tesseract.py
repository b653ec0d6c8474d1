"""The packaged reader with a language model: it reads drawn words, and knows which letters follow one another."""

from __future__ import annotations

import functools
import gzip

import pytest
import torch
from regionloss_text.tesseract import TesseractJudge

from regionloss import Regions
from regionloss.errors import PluginError, WeightsError
from regionloss.testing.contracts import JudgeContract

pytestmark = pytest.mark.weights
pytest.importorskip("tesserocr", reason="the extra regionloss-text[tesseract] is not installed")


@functools.lru_cache(maxsize=1)
def judge() -> TesseractJudge:
    return TesseractJudge()


class TestTesseractJudge(JudgeContract):
    @pytest.fixture(autouse=True)
    def given(self, weights) -> None:
        weights("tesseract-eng")

    def make(self) -> TesseractJudge:
        return judge()


def test_reads_drawn_words(scenes, weights) -> None:
    weights("tesseract-eng")
    right = [
        reading.text == word
        for scene in scenes
        for reading, word in zip(judge().judge(scene.image[None], scene.regions()), scene.words, strict=True)
    ]
    assert sum(right) >= len(right) - 2
    assert judge().language_model
    assert judge().tool.startswith("Tesseract 5.")


def test_a_strip_of_one_row_is_no_trouble(weights) -> None:
    weights("tesseract-eng")
    strips = torch.tensor([[0.0, 3.0, 400.0, 3.5], [3.0, 0.0, 3.5, 30.0]])
    assert len(judge().judge(torch.zeros(1, 3, 30, 400), Regions.single("text", strips, (30, 400)))) == 2


def test_weights_by_path_packed_or_not_and_what_is_none(weights, tmp_path, scenes) -> None:
    packed = weights("tesseract-eng")
    plain = tmp_path / "eng.traineddata"
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    regions = scenes[0].regions()
    both = [TesseractJudge(str(path)).judge(scenes[0].image[None], regions) for path in (plain, packed)]
    assert both[0] == both[1]
    for name in ("wrong.gz", "wrong.traineddata"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(WeightsError, match="expected Tesseract's data of English"):
            TesseractJudge(str(tmp_path / name))
    with pytest.raises(WeightsError, match=r"weight file .*absent\.gz not found"):
        TesseractJudge(str(tmp_path / "absent.gz"))


def test_without_tesserocr_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, weights) -> None:
    weights("tesseract-eng")
    monkeypatch.setitem(__import__("sys").modules, "tesserocr", None)
    with pytest.raises(PluginError, match=r"tesseract: expected the package tesserocr, .*regionloss-text\[tesseract\]"):
        TesseractJudge()
