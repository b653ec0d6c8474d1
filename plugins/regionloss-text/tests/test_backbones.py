"""The contract of a feature backbone, for each of this plugin's, and what is special to them."""

from __future__ import annotations

import functools
import importlib

import pytest
import torch

from regionloss import FeatureBackbone
from regionloss.errors import InputError, WeightsError
from regionloss.testing.contracts import FeatureBackboneContract

WHERE = {
    "english-g2": "crnn:CrnnEnglishG2",
    "nano-ocr": "nano_ocr:NanoOcr",
    "craft-mlt-25k": "craft_trunk:CraftFeatures",
    "ppocr-v6-rec": "ppocr_features:PPOcrV6",
}


@functools.lru_cache(maxsize=16)
def make(file: str, out_indices: tuple[int, ...] | None = None) -> FeatureBackbone:
    module, name = WHERE[file].split(":")
    options = {} if out_indices is None else {"out_indices": out_indices}
    return getattr(importlib.import_module(f"regionloss_text.{module}"), name)(**options)


class Backbone(FeatureBackboneContract):
    file: str

    @pytest.fixture(autouse=True)
    def here(self, weights) -> None:
        weights(self.file)

    def make(self) -> FeatureBackbone:
        return make(self.file)

    def test_five_levels_from_fine_to_coarse(self) -> None:
        levels = self.make()(self.crops())
        rows = [level.shape[2] for level in levels]
        assert len(levels) == 5
        assert rows == sorted(rows, reverse=True)
        assert rows[0] > rows[-1]

    def test_no_crops(self) -> None:
        assert [len(level) for level in self.make()(self.crops()[:0])] == [0] * 5

    def test_out_indices_pick_levels(self) -> None:
        everything = make(self.file, tuple(range(5)))(self.crops())
        first, last = make(self.file, (0, 4))(self.crops())
        assert torch.equal(first, everything[0])
        assert torch.equal(last, everything[4])
        with pytest.raises(InputError, match=r"out_indices: expected numbers below \d+, one of its levels each"):
            make(self.file, (20,))(self.crops())


@pytest.mark.weights
class TestCrnnEnglishG2(Backbone):
    file = "english-g2"

    def test_balance_divides_each_level_by_a_constant(self) -> None:
        from regionloss_text.crnn import ENERGY, CrnnEnglishG2

        plain = make(self.file)(self.crops())
        for number, ours, level in zip((0, 1, 3, 5, 6), CrnnEnglishG2(balance=True)(self.crops()), plain, strict=True):
            torch.testing.assert_close(ours, level / ENERGY[number] ** 0.5)

    def test_balanced_levels_have_unit_energy_on_words(self, scenes) -> None:
        from regionloss_text.crnn import CrnnEnglishG2

        from regionloss import ResizeExtractor

        crops = torch.cat([ResizeExtractor((32, 128))(scene.image[None], scene.regions()) for scene in scenes])
        for level in CrnnEnglishG2(out_indices=range(7), balance=True)(crops):
            assert 0.3 < float(level.square().sum(1).mean()) < 3

    def test_sizes_of_crops(self) -> None:
        from regionloss_text.crnn import CrnnEnglishG2

        with pytest.raises(InputError, match="expected 32 x 128 pixels"):
            self.make()(torch.zeros(1, 3, 32, 100))
        with pytest.raises(InputError, match=r"crnn-english-g2.size: expected at least 32 x 16, got 16 x 64\."):
            CrnnEnglishG2(size=(16, 64))
        assert CrnnEnglishG2(size=(64, 256))(torch.zeros(1, 3, 64, 256))[-1].shape == (1, 256, 3, 63)


@pytest.mark.weights
class TestNanoOcr(Backbone):
    file = "nano-ocr"


@pytest.mark.weights
class TestCraftTrunk(Backbone):
    file = "craft-mlt-25k"


@pytest.mark.weights
class TestPPOcrV6(Backbone):
    file = "ppocr-v6-rec"

    def test_sizes_of_crops(self) -> None:
        from regionloss_text.ppocr_features import PPOcrV6

        with pytest.raises(InputError, match=r"ppocr-v6\.size: expected 48 x 16 or wider, got 32 x 128\."):
            PPOcrV6(size=(32, 128))
        assert PPOcrV6(size=(48, 320))(torch.zeros(1, 3, 48, 320))[-1].shape == (1, 120, 1, 40)


@pytest.mark.weights
def test_ppocr_v6_is_its_onnx_network(weights) -> None:
    """Its probabilities and its levels, against onnxruntime, on BGR as its own code gives it."""
    file = weights("ppocr-v6-rec")
    onnxruntime = pytest.importorskip("onnxruntime")
    from regionloss_text.ppocr_features import PPOcrV6

    from regionloss.backbones import read_onnx

    session = onnxruntime.InferenceSession(file)
    for size in ((48, 320), (48, 192), (48, 61)):
        crops = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(size[1])) * 2 - 1
        (wanted,) = session.run(None, {"x": crops.flip(1).numpy()})
        (found,) = read_onnx(file)(crops.flip(1))
        torch.testing.assert_close(found, torch.from_numpy(wanted), rtol=0, atol=1e-5)
        *_, last = PPOcrV6(size=size)(crops)
        weight, bias = (read_onnx(file).floats[f"_linear_8%2E{part}_0"] for part in "wb")
        read = (last[:, :, 0].transpose(1, 2) @ weight + bias).softmax(2)
        torch.testing.assert_close(read, torch.from_numpy(wanted), rtol=0, atol=1e-5)


@pytest.mark.weights
def test_no_judge_of_the_same_network_scores_what_was_trained_against_it(weights, tmp_path) -> None:
    weights("ppocr-v6-rec")
    from regionloss_text.judge import PPOcrJudge
    from regionloss_text.page_judge import PPOcrPageJudge

    from regionloss.evaluation.judges import loss_weights, refuse_loss_network
    from regionloss.recipe.load import load_terms_file
    from regionloss.recipe.resolved import resolved

    file = tmp_path / "terms.yaml"
    file.write_text("version: 1\nterms:\n  words: {use: text/ppocr-v6, weight: 1}\n")
    against = loss_weights(resolved(load_terms_file(file)))
    for judge in (PPOcrJudge(), PPOcrPageJudge()):
        with pytest.raises(
            InputError, match="expected a network that the loss is not computed with, got 'text/ppocr-v6"
        ):
            refuse_loss_network("ppocr", judge, against)
    file.write_text("version: 1\nterms:\n  words: {use: text/packaged, weight: 1}\n")
    refuse_loss_network("ppocr", PPOcrJudge(), loss_weights(resolved(load_terms_file(file))))


@pytest.mark.parametrize("file", [file for file in WHERE if file != "ppocr-v6-rec"])  # its package is installed
def test_missing_weights_say_how_to_get_them(file, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=f"weights '{file}' not found in .* Run 'regionloss weights fetch {file}'"):
        make.__wrapped__(file)


def test_a_file_of_another_network_is_refused() -> None:
    from regionloss_text.convolutions import Conv, ConvChain

    with pytest.raises(WeightsError, match=r"expected a tensor 'cnn.0.weight', got other.weight, .*right file\?"):
        ConvChain((Conv("cnn.0"),), {"other.weight": torch.zeros(1)})
