"""What every plugin's components must do, as test classes to inherit from.

    class TestMyBackbone(FeatureBackboneContract):
        def make(self):
            return MyBackbone(weights="random.pt")

pytest collects the subclass and runs the contract.
"""

from regionloss.testing.contracts.commands import CommandContract, HostContract, TrainerContract
from regionloss.testing.contracts.comparison import AreaWeightingContract, DistanceContract, TermContract
from regionloss.testing.contracts.detection import DetectorContract, JudgeContract
from regionloss.testing.contracts.features import FeatureBackboneContract, RegionExtractorContract
from regionloss.testing.contracts.quantization import QuantizerContract

__all__ = [
    "AreaWeightingContract",
    "CommandContract",
    "DetectorContract",
    "DistanceContract",
    "FeatureBackboneContract",
    "HostContract",
    "JudgeContract",
    "QuantizerContract",
    "RegionExtractorContract",
    "TermContract",
    "TrainerContract",
]
