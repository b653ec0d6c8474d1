"""What every plugin's components must do, as test classes to inherit from.

    class TestMyBackbone(FeatureBackboneContract):
        def make(self):
            return MyBackbone(weights="random.pt")

pytest collects the subclass and runs the contract.
"""

from .comparing import AreaWeightingContract, DistanceContract, TermContract
from .features import FeatureBackboneContract, RegionExtractorContract
from .running import CommandContract, HostContract, TrainerContract
from .seeing import DetectorContract, JudgeContract

__all__ = [
    "AreaWeightingContract",
    "CommandContract",
    "DetectorContract",
    "DistanceContract",
    "FeatureBackboneContract",
    "HostContract",
    "JudgeContract",
    "RegionExtractorContract",
    "TermContract",
    "TrainerContract",
]
