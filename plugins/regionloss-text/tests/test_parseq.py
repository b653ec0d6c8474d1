"""PARSeq as TokBench asks it: docTR's own crops, readings that no neighbour changes, and its batches where wanted."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from regionloss_text.parseq import MEAN, SIZE, STD, ParseqJudge, crop, prepare

from regionloss import Regions
from regionloss.errors import InputError, PluginError, WeightsError
from regionloss.hooks.catalogue import catalogue
from regionloss.testing.contracts import JudgeContract

RECORDED = Path(__file__).parent / "data" / "parseq_crops.npz"


def boxes(count: int, size: tuple[int, int], seed: int) -> np.ndarray:
    """Random boxes (N, 4) with parts of pixels, some of them as wide as the network's input, some one pixel high."""
    rng = np.random.default_rng(seed)
    height, width = size
    corner = rng.uniform(0, [width - 2, height - 2], (count, 2))
    extent = rng.uniform(1, [width, height], (count, 2)) ** rng.uniform(0.3, 1, (count, 1))
    return np.concatenate([corner, np.minimum(corner + extent + 1, [width + 3, height + 3])], 1)


def picture(seed: int, size: tuple[int, int] = (90, 300)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_crops_and_normalisation_are_those_of_doctr() -> None:
    pytest.importorskip("doctr", reason="the extra regionloss-text[doctr] is not installed")
    from doctr.models.preprocessor import PreProcessor

    image = picture(0)
    cut = [image[int(y1) : int(y2), int(x1) : int(x2)] for x1, y1, x2, y2 in boxes(100, image.shape[:2], 1)]
    cut += [image[:8, :32], image[:1], image[:, :1]]
    theirs = PreProcessor(SIZE, 64, MEAN, STD, preserve_aspect_ratio=True)([c.astype(np.float32) / 255 for c in cut])
    ours = [prepare(crop(image, box)) for box in boxes(100, image.shape[:2], 1)]
    ours += [prepare(c) for c in cut[100:]]
    torch.testing.assert_close(torch.stack(ours), torch.cat(theirs), atol=1e-6, rtol=0)


def test_crops_are_those_that_doctr_made_when_they_were_recorded() -> None:
    """Twelve crops of docTR 1.1.0's PreProcessor, every seventh row and column."""
    image = picture(2)
    found = torch.stack([prepare(crop(image, box)) for box in boxes(12, image.shape[:2], 3)])
    with np.load(RECORDED) as recorded:
        np.testing.assert_allclose(found[:, :, ::7, ::7].numpy(), recorded["crops"], atol=2e-3)


def test_boxes_are_truncated_and_end_before_their_end() -> None:
    image = picture(4)
    assert np.array_equal(crop(image, [3.9, 2.2, 10.99, 7.5]), image[2:7, 3:10])
    assert np.array_equal(crop(image, [-0.9, 80.0, 400.0, 200.0]), image[80:, :])
    for empty in ([3.1, 2.0, 3.9, 9.0], [5.0, 5.0, 9.0, 5.9], [-2.0, 0.0, 9.0, 9.0]):
        assert crop(image, empty).size == 0


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("doctr", reason="the extra regionloss-text[doctr] is not installed")
    from regionloss_text.parseq import make_network

    torch.manual_seed(0)
    network = make_network()
    for name, parameter in network.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(parameter, std=1 if name in ("pos_queries", "head.weight") else 0.1)
    path = tmp_path_factory.mktemp("parseq") / "parseq.pt"
    # As files from before docTR 0.11 are.
    torch.save(network.state_dict() | {"decoder.attention_norm.weight": torch.ones(384)}, path)
    return path


@functools.cache
def judge_of(path: Path) -> ParseqJudge:
    return ParseqJudge(str(path))


class TestParseqJudge(JudgeContract):
    @pytest.fixture(autouse=True)
    def given(self, random_weights: Path) -> None:
        self.judge = judge_of(random_weights)

    def make(self) -> ParseqJudge:
        return self.judge


def some_regions(count: int = 5) -> tuple[torch.Tensor, Regions]:
    image = torch.from_numpy(picture(5).copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    found = torch.tensor(boxes(count, (90, 300), 6)).clamp(max=90)
    found[:, 2:] = found[:, :2] + 8 + torch.arange(count)[:, None]
    return image, Regions.single("text", found, (90, 300))


def test_equals_doctr_and_depends_on_no_neighbour(random_weights: Path) -> None:
    judge = judge_of(random_weights)
    image, regions = some_regions()
    together = judge.judge(image, regions)
    assert len({reading.text for reading in together}) == len(together)
    network = judge.network.network_for(image)
    for i, reading in enumerate(together):
        (alone,) = judge.judge(image, regions.select(torch.tensor([i])))
        assert (alone.text, alone.score) == (reading.text, pytest.approx(reading.score, abs=1e-4))
        box = regions.boxes[i].tolist()
        with torch.no_grad():
            ((text, _),) = network(prepare(crop(picture(5), box))[None])["preds"]
        assert text == reading.text


def test_batches_of_tokbench_end_at_their_longest_transcription(random_weights: Path) -> None:
    judge = judge_of(random_weights)
    image, regions = some_regions(3)
    free = judge.judge(image, regions)
    batches = [("ab", "abcd"), ("abc",), ("ab", "ŵ")]
    found = judge.judge_in_batches(image, regions, batches)
    network = judge.network.network_for(image)
    for number, batch in enumerate(batches[:2]):
        crops = torch.stack([prepare(crop(picture(5), regions.boxes[number].tolist()))] * len(batch))
        with torch.no_grad():
            text, _ = network(crops, list(batch), return_preds=True)["preds"][0]
        assert found[number].text == text
        assert len(found[number].text) <= max(map(len, batch)) + 1
    assert any(len(a.text) < len(b.text) for a, b in zip(found[:2], free, strict=False))
    assert found[2].problem.startswith("batch that TokBench skips")
    long = judge.judge_in_batches(image, regions, [("a" * 40,)] * 3)
    assert all(len(reading.text) <= 32 for reading in long)


def test_an_empty_crop_is_a_problem_and_no_reading(random_weights: Path) -> None:
    image, _ = some_regions(1)
    odd = Regions.single("text", torch.tensor([[3.1, 2.0, 3.9, 9.0], [-4.0, 1.0, 8.0, 9.0]]), (90, 300))
    found = judge_of(random_weights).judge(image, odd)
    assert [reading.text for reading in found] == ["", ""]
    assert all(reading.problem.startswith("empty crop: ") for reading in found)


def test_wrong_weights_and_options_are_sentences(tmp_path: Path) -> None:
    pytest.importorskip("doctr", reason="the extra regionloss-text[doctr] is not installed")
    with pytest.raises(WeightsError, match=r"weights 'doctr-parseq' not found in .* as parseq-56125471\.pt"):
        catalogue().build("judge", "text/parseq", {})
    torch.save({"conv.weight": torch.ones(1)}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="expected those of docTR's PARSeq, got Missing key"):
        ParseqJudge(str(tmp_path / "other.pt"))
    with pytest.raises(InputError, match=r"parseq\.batch_size: expected 1 or more, got 0"):
        ParseqJudge(batch_size=0)


def test_without_doctr_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "doctr", None)
    monkeypatch.setitem(__import__("sys").modules, "doctr.models", None)
    with pytest.raises(PluginError, match=r"parseq: expected the package python-doctr, .*regionloss-text\[doctr\]"):
        ParseqJudge()
