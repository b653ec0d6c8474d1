"""The built-in components keep the contracts that plugins are held to."""

from __future__ import annotations

import pytest

from regionloss import AlignedExtractor, LetterboxExtractor, NormalisedL2, ResizeExtractor, SquaredL2
from regionloss.detectors.given import GivenDetector
from regionloss.detectors.whole_image import WholeImageDetector
from regionloss.extractors.whole_image import WholeImageExtractor
from regionloss.hooks.catalogue import catalogue
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


@pytest.mark.parametrize("name", ["area", "sqrt-area", "uniform", "score"])
def test_weightings(name: str) -> None:
    class Contract(contracts.AreaWeightingContract):
        def make(self):
            return catalogue().build("weighting", name)

    Contract().test_one_weight_per_region()
