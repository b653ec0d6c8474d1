"""The built-in components keep the contracts that plugins are held to."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest
import torch
import typer

from regionloss import (
    AlignedExtractor,
    FeatureBackbone,
    InputSpec,
    LetterboxExtractor,
    NormalisedL2,
    RectifiedExtractor,
    RegionPerceptualLoss,
    ResizeExtractor,
    SquaredL2,
)
from regionloss.cli.plugin import app as plugin_commands
from regionloss.detectors.given import GivenDetector
from regionloss.detectors.whole_image import WholeImageDetector
from regionloss.errors import InputError
from regionloss.extractors.whole_image import WholeImageExtractor
from regionloss.hooks.catalogue import build_catalogue, catalogue
from regionloss.losses.terms import Term
from regionloss.regions.quads import corners
from regionloss.testing import contracts
from tests.helpers import TEMPLATE, backbone


class TestGiven(contracts.DetectorContract):
    def make(self):
        return GivenDetector([[0.1, 0.1, 0.5, 0.9], [0, 0, 1, 1]])

    test_nothing_in_flat_images = None


class TestWholeImage(contracts.DetectorContract):
    def make(self):
        return WholeImageDetector()


class TestResize(contracts.RegionExtractorContract):
    def make(self):
        return ResizeExtractor((32, 128))


class TestRectified(contracts.RegionExtractorContract):
    def make(self):
        return RectifiedExtractor((32, 128))

    def regions(self):
        boxes = super().regions()
        return replace(boxes, quads=corners(boxes.boxes) + torch.tensor([0.0, 3.0]), layout=None)


class TestLetterbox(contracts.RegionExtractorContract):
    def make(self):
        return LetterboxExtractor((32, 128))


class TestAligned(contracts.RegionExtractorContract):
    keypoints = 5

    def make(self):
        return AlignedExtractor(TEMPLATE, size=(20, 20), padding="black")


class TestWholeImageCrop(contracts.RegionExtractorContract):
    def make(self):
        return WholeImageExtractor()


class TestBackbone(contracts.FeatureBackboneContract):
    def make(self):
        return backbone()


class TestSquaredL2(contracts.DistanceContract):
    def make(self):
        return SquaredL2()


class TestNormalisedL2(contracts.DistanceContract):
    def make(self):
        return NormalisedL2()


class TestTerm(contracts.TermContract):
    def make(self):
        return Term(RegionPerceptualLoss(ResizeExtractor((16, 16)), backbone()), "text")


class Trainer:
    def __init__(self, steps: int = 1) -> None: ...

    def run(self, run: object) -> None: ...


class TestTrainer(contracts.TrainerContract):
    def make(self):
        return Trainer


class Cut(torch.nn.Module):
    """A quantizer whose vectors are others than its codebook's, and carry no gradient."""

    codebook_size, codebook = 2, torch.tensor([[-1.0], [1.0]])

    def forward(self, z):
        ids = (z > 0).long().flatten(1)
        return z.detach().sign() * 2, z.sum() * 0, ids

    def assign(self, z):
        return self(z)[2]

    def lookup(self, ids, grid):
        return self.codebook[ids].unflatten(1, grid).movedim(-1, 1)

    def update(self):
        pass

    def stats(self):
        return {}


class TestCommand(contracts.CommandContract):
    def make(self):
        def greet(name: str) -> None:
            """Greet somebody."""

        return greet


class TestCommands(contracts.CommandContract):
    def make(self):
        return plugin_commands


@pytest.mark.parametrize("name", [host.name for host in build_catalogue([]).components("host")])
def test_hosts(name: str) -> None:
    contract = type("Contract", (contracts.HostContract,), {"make": lambda self: catalogue().load("host", name)})()
    contract.test_it_is_a_specification()


class Drops(GivenDetector):
    """Wrong for a batch of no images, and for small ones."""

    def detect(self, images):
        found = super().detect(images if len(images) else images.new_zeros(1, 3, 8, 8))
        return found if min(images.shape[2:]) > 8 else None


class Stretches(ResizeExtractor):
    """Wrong without regions, and for boxes without pixels."""

    def __call__(self, images, regions):
        crops = super().__call__(images, regions)
        smallest = (regions.boxes[:, 2:] - regions.boxes[:, :2]).min()
        return crops if smallest > 1 else crops * torch.nan


class TakesAll(FeatureBackbone):
    def features(self, crops):
        return (self.network_for(crops)(crops),)


class Sums:
    def __call__(self, features, target_features):
        pairs = list(zip(features, target_features, strict=True))
        return torch.stack([sum((a[i] - b[i]).square().sum() for a, b in pairs) for i in range(len(features[0]))])


@pytest.mark.parametrize(
    ("contract", "made", "failing"),
    [
        (
            "DetectorContract",
            Drops([[0, 0, 1, 1]]),
            ["no_images_have_no_regions", "nothing_in_flat_images", "the_smallest_image"],
        ),
        ("RegionExtractorContract", Stretches((8, 8)), ["no_regions_have_no_crops", "the_smallest_regions"]),
        (
            "FeatureBackboneContract",
            TakesAll(torch.nn.Conv2d(3, 4, 3), InputSpec(size=(16, 16))),
            ["the_size_that_it_states_is_the_one_that_it_takes"],
        ),
        ("DistanceContract", Sums(), ["half_precision_is_promoted", "no_regions_have_no_distances"]),
        ("HostContract", 3, ["it_is_a_specification"]),
        ("TrainerContract", 3, ["a_misspelled_option_is_found", "it_runs"]),
        ("TrainerContract", type("Idle", (), {}), ["it_runs"]),
        ("TrainerContract", type("Alone", (), {"run": lambda self: None}), ["it_runs"]),
        ("TrainerContract", type("Open", (Trainer,), {"__init__": lambda self, **o: None}), [
            "a_misspelled_option_is_found"
        ]),
        ("QuantizerContract", Cut(), ["gradients_reach_the_latents", "ids_stand_for_the_vectors"]),
        ("CommandContract", 3, ["it_helps"]),
        ("CommandContract", typer.Typer(), ["it_helps"]),
    ],
)  # fmt: skip
def test_what_breaks_a_contract_fails_its_tests(contract: str, made: object, failing: list[str]) -> None:
    tests = type("Contract", (getattr(contracts, contract),), {"make": lambda self: made})()
    failed = []
    for name, test in inspect.getmembers(tests, inspect.ismethod):
        if name.startswith("test_"):
            try:
                test()
            except Exception:
                failed.append(name.removeprefix("test_"))
    assert failed == failing


@pytest.mark.parametrize(("network", "failing"), [("detach", "others_have_a_gradient"), ("noise", "equal_images")])
def test_a_term_that_is_no_loss_fails_its_contract(network: str, failing: str) -> None:
    class Network(torch.nn.Module):
        def forward(self, images):
            return [images.detach() if network == "detach" else images + torch.rand(())]

    term = Term(RegionPerceptualLoss(ResizeExtractor((8, 8)), FeatureBackbone(Network(), InputSpec())), "text")
    tests = type("Contract", (contracts.TermContract,), {"make": lambda self: term})()
    with pytest.raises((AssertionError, RuntimeError, InputError)):
        getattr(tests, next(name for name in dir(tests) if failing in name))()


@pytest.mark.parametrize("name", ["area", "sqrt-area", "uniform", "score"])
def test_weightings(name: str) -> None:
    class Contract(contracts.AreaWeightingContract):
        def make(self):
            return catalogue().build("weighting", name)

    Contract().test_one_weight_per_region()
