"""regionloss: region-aware perceptual losses for image tokenizers, autoencoders and restorers.

Public names are resolved when used: `import regionloss` imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_WHERE = {
    "AlignedExtractor": "extractors.aligned",
    "AreaWeighting": "weightings.area",
    "Detector": "detectors.base",
    "Embedding": "judges",
    "FeatureBackbone": "backbones.base",
    "HostSpec": "hosts.host_spec",
    "InputSpec": "backbones.input_spec",
    "Judge": "judges",
    "LetterboxExtractor": "extractors.letterbox",
    "LossOutput": "losses.terms",
    "LossTerms": "losses.terms",
    "NormalisedL2": "distances.normalised_l2",
    "Reading": "judges",
    "RegionCollate": "hosts.collating",
    "RegionExtractor": "extractors.base",
    "RegionFilter": "collation",
    "RegionFinder": "hosts.finding",
    "RegionLossError": "errors",
    "RegionPerceptualLoss": "losses.region_perceptual",
    "Regions": "regions",
    "ResizeExtractor": "extractors.resize",
    "SquaredL2": "distances.squared_l2",
    "Term": "losses.terms",
    "Turn": "hosts.host_spec",
    "bind_batch": "hosts.binding",
    "collate_regions": "collation",
    "detect": "detecting",
    "hookimpl": "hooks",
    "load_terms": "recipe.build",
    "read_image": "data.images",
    "to_tensor": "data.images",
    "use_regions": "hosts.batch",
    "wrap": "hosts.wrapping",
}
__all__ = sorted(_WHERE)

if TYPE_CHECKING:
    from .backbones.base import FeatureBackbone as FeatureBackbone
    from .backbones.input_spec import InputSpec as InputSpec
    from .collation import RegionFilter as RegionFilter
    from .collation import collate_regions as collate_regions
    from .data.images import read_image as read_image
    from .data.images import to_tensor as to_tensor
    from .detecting import detect as detect
    from .detectors.base import Detector as Detector
    from .distances.normalised_l2 import NormalisedL2 as NormalisedL2
    from .distances.squared_l2 import SquaredL2 as SquaredL2
    from .errors import RegionLossError as RegionLossError
    from .extractors.aligned import AlignedExtractor as AlignedExtractor
    from .extractors.base import RegionExtractor as RegionExtractor
    from .extractors.letterbox import LetterboxExtractor as LetterboxExtractor
    from .extractors.resize import ResizeExtractor as ResizeExtractor
    from .hooks import hookimpl as hookimpl
    from .hosts.batch import use_regions as use_regions
    from .hosts.binding import bind_batch as bind_batch
    from .hosts.collating import RegionCollate as RegionCollate
    from .hosts.finding import RegionFinder as RegionFinder
    from .hosts.host_spec import HostSpec as HostSpec
    from .hosts.host_spec import Turn as Turn
    from .hosts.wrapping import wrap as wrap
    from .judges import Embedding as Embedding
    from .judges import Judge as Judge
    from .judges import Reading as Reading
    from .losses.region_perceptual import RegionPerceptualLoss as RegionPerceptualLoss
    from .losses.terms import LossOutput as LossOutput
    from .losses.terms import LossTerms as LossTerms
    from .losses.terms import Term as Term
    from .recipe.build import load_terms as load_terms
    from .regions import Regions as Regions
    from .weightings.area import AreaWeighting as AreaWeighting


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'regionloss' has no attribute '{name}'")
    return getattr(importlib.import_module(f"regionloss.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
