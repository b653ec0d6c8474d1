"""regionloss: region-aware perceptual losses for image tokenizers, autoencoders and restorers.

Public names are resolved when used: `import regionloss` imports no torch.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_ROOMS = {
    "backbones": ("FeatureBackbone", "InputSpec"),
    "calibration": ("calibrate",),
    "data.images": ("read_image", "to_tensor"),
    "detectors": ("Detector",),
    "detectors.detect": ("detect",),
    "distances": ("NormalisedL2", "SquaredL2"),
    "errors": ("RegionLossError",),
    "extractors": (
        "AlignedExtractor",
        "LetterboxExtractor",
        "RectifiedExtractor",
        "RegionExtractor",
        "ResizeExtractor",
        "upright_crops",
    ),
    "hooks": ("hookimpl",),
    "hosts.bind_batch": ("bind_batch",),
    "hosts.collate": ("RegionCollate",),
    "hosts.host_spec": ("HostSpec", "Turn"),
    "hosts.published": ("use_regions",),
    "hosts.region_finder": ("RegionFinder",),
    "hosts.watch": ("watch_gradients",),
    "hosts.wrap": ("wrap",),
    "judges": ("Embedding", "Judge", "Reading"),
    "losses": ("LossOutput", "LossTerms", "RegionPerceptualLoss", "Term"),
    "notebook": ("inspect", "show"),
    "recipe": ("load_terms",),
    "regions": ("RegionFilter", "Regions", "collate_regions"),
    "schedules": ("WeightSchedule",),
    "weightings": ("AreaWeighting",),
}
_WHERE = {name: room for room, names in _ROOMS.items() for name in names}
__all__ = sorted(_WHERE)

if TYPE_CHECKING:
    from regionloss.backbones.base import FeatureBackbone as FeatureBackbone
    from regionloss.backbones.input_spec import InputSpec as InputSpec
    from regionloss.calibration import calibrate as calibrate
    from regionloss.data.images.files import read_image as read_image
    from regionloss.data.images.files import to_tensor as to_tensor
    from regionloss.detectors.base import Detector as Detector
    from regionloss.detectors.detect import detect as detect
    from regionloss.distances.normalised_l2 import NormalisedL2 as NormalisedL2
    from regionloss.distances.squared_l2 import SquaredL2 as SquaredL2
    from regionloss.errors import RegionLossError as RegionLossError
    from regionloss.extractors.aligned import AlignedExtractor as AlignedExtractor
    from regionloss.extractors.base import RegionExtractor as RegionExtractor
    from regionloss.extractors.letterbox import LetterboxExtractor as LetterboxExtractor
    from regionloss.extractors.quadrilateral import RectifiedExtractor as RectifiedExtractor
    from regionloss.extractors.resize import ResizeExtractor as ResizeExtractor
    from regionloss.extractors.upright import upright_crops as upright_crops
    from regionloss.hooks import hookimpl as hookimpl
    from regionloss.hosts.bind_batch import bind_batch as bind_batch
    from regionloss.hosts.collate import RegionCollate as RegionCollate
    from regionloss.hosts.host_spec import HostSpec as HostSpec
    from regionloss.hosts.host_spec import Turn as Turn
    from regionloss.hosts.published import use_regions as use_regions
    from regionloss.hosts.region_finder import RegionFinder as RegionFinder
    from regionloss.hosts.watch import watch_gradients as watch_gradients
    from regionloss.hosts.wrap import wrap as wrap
    from regionloss.judges import Embedding as Embedding
    from regionloss.judges import Judge as Judge
    from regionloss.judges import Reading as Reading
    from regionloss.losses.region_perceptual import RegionPerceptualLoss as RegionPerceptualLoss
    from regionloss.losses.terms import LossOutput as LossOutput
    from regionloss.losses.terms import LossTerms as LossTerms
    from regionloss.losses.terms import Term as Term
    from regionloss.notebook import inspect as inspect
    from regionloss.notebook import show as show
    from regionloss.recipe.build import load_terms as load_terms
    from regionloss.regions.collation import RegionFilter as RegionFilter
    from regionloss.regions.collation import collate_regions as collate_regions
    from regionloss.regions.regions import Regions as Regions
    from regionloss.schedules import WeightSchedule as WeightSchedule
    from regionloss.weightings.area import AreaWeighting as AreaWeighting


#: Modules that guides of 0.1 named, and where their names are today; until 0.3.
_MOVED = {"collation": "regions", "region_ops": "regions"}


def __getattr__(name: str) -> Any:
    if name in _MOVED:
        warnings.warn(f"regionloss.{name} is regionloss.{_MOVED[name]} by now.", DeprecationWarning, stacklevel=2)
        return importlib.import_module(f"regionloss.{_MOVED[name]}")
    if name not in _WHERE:
        raise AttributeError(f"module 'regionloss' has no attribute '{name}'")
    return getattr(importlib.import_module(f"regionloss.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
