"""The general suite: values that are known, what cannot be said, and sets of any split."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise

import lpips
import numpy as np
import pytest
import torch
from torch import Tensor

from regionloss.backbones.lpips import LPIPSFeatures
from regionloss.backbones.lpips_trunks import TorchvisionTrunk
from regionloss.evaluation.benchmarks import Examined, Gathered, General
from regionloss.evaluation.benchmarks.base import notes_of
from regionloss.evaluation.benchmarks.general import ENOUGH, FeatureNetwork, PerceptualNetwork
from regionloss.evaluation.metrics import frechet_distance, kernel_distance, moments, perplexity
from regionloss.evaluation.pairs import Instance, Original, Pair, Reconstruction
from regionloss.losses import PerceptualLoss


def image(height: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=generator) / 127.5 - 1


def pair_of(target: Tensor, output: Tensor, *boxes: tuple[float, ...], ids: Tensor | None = None) -> Pair:
    kinds = ("text", "face")
    instances = tuple(Instance(kinds[i % 2], box, 0.1) for i, box in enumerate(boxes))  # type: ignore[arg-type]
    return Pair(Original("a/1.png", target, instances), Reconstruction(output, ids, (16, 16)))


def means(image: Tensor) -> Tensor:
    """A network that sees an image's three means, and their squares."""
    found = image.mean((0, 2, 3))
    return torch.cat([found, found.square()])


@pytest.fixture(scope="module")
def original() -> lpips.LPIPS:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lpips.LPIPS(net="alex", pretrained=True, pnet_rand=True, verbose=False).eval()


@pytest.fixture(scope="module")
def general(original: lpips.LPIPS) -> General:
    states = original.net.state_dict()
    trunk = {f"features.{n.partition('.')[2]}": value for n, value in states.items() if n.startswith("slice")}
    loss = PerceptualLoss(LPIPSFeatures(TorchvisionTrunk("alex", trunk, original.state_dict())))
    return General({"alex": PerceptualNetwork(loss)}, {"means": FeatureNetwork(means)}, codebook_size=8)


def test_psnr_of_parts_has_its_closed_form(general: General) -> None:
    """An error of 20 steps of 255 in the box of one kind, of 10 in that of the other, of 5 elsewhere."""
    target = torch.full((3, 40, 40), -0.2)
    steps = torch.full((40, 40), 5.0)
    steps[:20, :10], steps[30:, 30:] = 20.0, 10.0
    found = general.examine(pair_of(target, target + steps / 127.5, (0, 0, 10, 20), (30, 30, 40, 40))).values
    inside = (200 * 20**2 + 100 * 10**2) / 300
    whole = (200 * 20**2 + 100 * 10**2 + 1300 * 5**2) / 1600
    for name, error in {"psnr": whole, "psnr_inside": inside, "psnr_outside": 25.0}.items():
        assert found[name] == pytest.approx(10 * math.log10(255**2 / error), abs=1e-4)


def test_lpips_is_that_of_the_package(general: General, original: lpips.LPIPS) -> None:
    for size in ((40, 64), (64, 40), (131, 67)):
        target, output = image(*size, 0), image(*size, 1)
        with torch.no_grad():
            wanted = original(target[None], output[None]).item()
        assert general.examine(pair_of(target, output)).values["lpips/alex"] == pytest.approx(wanted, rel=1e-5)


def test_equal_images_are_infinitely_near_and_counted(general: General) -> None:
    target = image(40, 40, 0)
    same, other = (general.examine(pair_of(target, output, (0, 0, 9, 9))) for output in (target, image(40, 40, 1)))
    assert same.values["psnr"] == same.values["psnr_inside"] == same.values["psnr_outside"] == math.inf
    assert same.values["ssim"] == 1.0
    assert same.values["lpips/alex"] == 0.0
    assert not same.problems
    assert summary(general, [same, other, other])["equal_images"] == pytest.approx(1 / 3)
    assert summary(general, [other])["equal_images"] == 0


def test_parts_without_pixels_have_no_psnr(general: General) -> None:
    target, output = image(40, 40, 0), image(40, 40, 1)
    assert not {"psnr_inside", "psnr_outside"} & general.examine(pair_of(target, output)).values.keys()
    assert "psnr_outside" not in general.examine(pair_of(target, output, (0, 0, 40, 40))).values
    thin = general.examine(pair_of(target, output, (0.6, 0, 1.4, 9)))  # between two centres
    assert "psnr_inside" not in thin.values
    assert thin.values["psnr_outside"] == thin.values["psnr"]


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (10, 10), (3, 900)])
def test_images_that_are_too_small_are_named(general: General, size: tuple[int, int]) -> None:
    found = general.examine(pair_of(image(*size, 0), image(*size, 1)))
    assert found.values.keys() == {"psnr"}
    shown = f": a/1.png ({size[0]} x {size[1]} pixels): "
    kinds = [problem.partition(shown)[0] for problem in found.problems]
    assert kinds == ["no SSIM", "no LPIPS in alex"]
    assert {"means/original", "means/reconstruction"} == found.features.keys()


def test_images_that_are_too_large_are_named(general: General, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regionloss.evaluation.benchmarks.general.MOST_PIXELS", 1600)
    assert not general.examine(pair_of(image(40, 40, 0), image(40, 40, 1))).problems
    found = general.examine(pair_of(image(40, 41, 0), image(40, 41, 1)))
    assert found.values.keys() == {"psnr", "ssim"}
    assert found.problems == ["no LPIPS in alex: a/1.png (40 x 41 pixels): expected 1600 pixels at most"]


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_constant_images_have_finite_values(general: General, value: float) -> None:
    found = general.examine(pair_of(torch.full((3, 40, 40), value), torch.full((3, 40, 40), 0.5)))
    assert not found.problems
    assert all(math.isfinite(one) for one in found.values.values())


def test_what_is_no_number_is_named(general: General) -> None:
    broken = image(40, 40, 0)
    broken[0, 3, 3] = math.nan
    found = general.examine(pair_of(image(40, 40, 1), broken))
    assert not [name for name, value in found.values.items() if math.isnan(value)]
    assert not found.features
    assert {problem.partition(":")[0] for problem in found.problems} == {
        *("no psnr", "no ssim", "no lpips/alex", "no features of means"),
    }


def test_boxes_that_are_none_cost_no_other_value(general: General) -> None:
    found = general.examine(pair_of(image(40, 40, 0), image(40, 40, 1), (50, 50, 60, 60)))
    assert found.values.keys() == {"psnr", "ssim", "lpips/alex"}
    assert [problem.partition(":")[0] for problem in found.problems] == ["no PSNR of regions"]


def summary(general: General, examined: list[Examined], processes: int = 1) -> dict[str, float]:
    """Gather answers as so many processes would: their blocks one after the other, their counts added up."""
    share = -(-len(examined) // processes)
    parts = [examined[i : i + share] for i in range(0, len(examined), share)]
    names = examined[0].features
    features = {name: [np.stack([one.features[name] for one in part]) for part in parts] for name in names}
    counts = {name: sum((one.counts[name] for one in examined), np.array(0)) for name in examined[0].counts}
    return dict(general.summary(Gathered(features, counts, len(examined))))


@pytest.fixture(scope="module")
def many(general: General) -> list[Examined]:
    ids = torch.randint(0, 6, (23, 4, 4), generator=torch.Generator().manual_seed(0))
    return [general.examine(pair_of(image(12, 12, i) * 0.5, image(12, 12, i + 100), ids=ids[i])) for i in range(23)]


def test_sets_are_the_same_for_any_number_of_processes(general: General, many: list[Examined]) -> None:
    found = [summary(general, many, processes) for processes in (1, 2, 3, 23)]
    assert all(one == other for one, other in pairwise(found))
    assert found[0].keys() == {"equal_images", "frechet/means", "kernel/means", "usage", "perplexity"}


def test_sets_are_measured_in_the_features_of_all_images(general: General, many: list[Examined]) -> None:
    found = summary(general, many)
    first, second = (
        torch.stack([means(image(12, 12, i + shift)[None] * scale) for i in range(23)]).numpy()
        for shift, scale in ((0, 0.5), (100, 1.0))
    )
    assert found["frechet/means"] == pytest.approx(frechet_distance(moments([first]), moments([second])), rel=1e-12)
    assert found["kernel/means"] == kernel_distance([first], [second])


def test_codes_are_counted_over_all_images(general: General, many: list[Examined]) -> None:
    ids = torch.randint(0, 6, (23, 4, 4), generator=torch.Generator().manual_seed(0))
    found = summary(general, many)
    assert found["usage"] == 6 / 8
    assert found["perplexity"] == perplexity(np.bincount(ids.flatten().numpy()))


def test_codes_that_the_codebook_has_not_are_named(general: General) -> None:
    found = general.examine(pair_of(image(40, 40, 0), image(40, 40, 1), ids=torch.tensor([8])))
    assert [problem.partition(":")[0] for problem in found.problems] == ["codes that cannot be counted"]
    assert "codes" not in found.counts


def test_nothing_is_said_of_no_images_or_one(general: General, many: list[Examined]) -> None:
    assert general.summary(Gathered({}, {}, 0)) == {}
    assert summary(general, many[:1]).keys() == {"equal_images", "usage", "perplexity"}


def test_every_answer_has_a_measure(general: General, many: list[Examined]) -> None:
    per = {name: measure.per for name, measure in general.measures.items()}
    assert {per[name] for name in many[0].values} == {"image"}
    assert {per[name] for name in summary(general, many)} == {"set"}


def test_codes_are_not_measured_where_there_are_none_or_too_many() -> None:
    for size in (None, 0, 1 << 40):
        assert not {"usage", "perplexity"} & General({}, {}, size).measures.keys()


def test_few_images_are_said_to_be_few(general: General) -> None:
    assert notes_of(general, ENOUGH) == []
    assert notes_of(general, 30) == [f"general: Fréchet means of 30 images says little; {ENOUGH} or more are needed."]
