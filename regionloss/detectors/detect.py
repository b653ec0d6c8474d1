"""Explicit detection by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import Tensor

from regionloss.checks import check_images, check_range, range_of
from regionloss.detectors.base import Detector
from regionloss.errors import InputError, expected
from regionloss.regions.regions import Regions
from regionloss.tensors import rescaled


def detect(
    images: Tensor,
    detector: str | Detector,
    options: Mapping[str, object] | None = None,
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> Regions:
    """Return what a detector finds in images.

    Args:
        images: (B, 3, H, W), RGB.
        detector: A registered name such as `"face/mtcnn"`; the name of a term, such as `"face"`, for the detector that
            annotates for it; or a detector.
        options: Options of the named detector's constructor.
        value_range: Range of the images; detectors are shown them in [-1, 1].

    Raises:
        InputError: Images of another shape or range.
        UnknownNameError: No detector and no term has this name.
        WeightsError: Its weights are not here; the sentence says how to fetch them.
    """
    check_images(images, "images")
    value_range = range_of(value_range)
    check_range(images, value_range, "images", "")
    if options is not None and not isinstance(options, Mapping):
        raise InputError(expected("options", "the detector's options by name", type(options).__name__))
    if isinstance(detector, str):
        from regionloss.hooks.catalogue import catalogue
        from regionloss.hooks.detector_names import stands_for

        name, preset = stands_for(detector, catalogue(), "detector")
        detector = cast(Detector, catalogue().build("detector", name, {**preset, **(options or {})}))
    if not isinstance(detector, Detector):
        raise InputError(expected("detector", "a name such as 'face/mtcnn', or a Detector", type(detector).__name__))
    return detector.detect(rescaled(images, value_range))
