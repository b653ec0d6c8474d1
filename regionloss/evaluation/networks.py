"""The networks of the general suite, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss.backbones.base import FeatureBackbone
from regionloss.errors import PluginError, UnknownNameError, WeightsError
from regionloss.evaluation.benchmarks.general import FeatureNetwork, General, PerceptualNetwork
from regionloss.evaluation.inception import WEIGHTS, Inception
from regionloss.hooks.catalogue import Catalogue
from regionloss.losses.whole_image import PerceptualLoss
from regionloss.tensors import full_precision
from regionloss.weights import locate, sha256_of

#: LPIPS where nothing is said: those whose trunks are here, and the one whose weights come in a package.
LPIPS = ("lpips-alex", "lpips-vgg", "st-lpips-alex")
#: Networks for distances between sets where nothing is said.
FRECHET = ("mobilenet-v2",)
#: Names that stand for a backbone with options: that of an image classifier's last features.
SHORT: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "mobilenet-v2": ("torchvision/mobilenet_v2", {"weights": "mobilenet-v2", "taps": ["features.18"]}),
}
SIDE = 224
Made = TypeVar("Made")


class PooledFeatures:
    """The last level of a backbone, averaged over its positions.

    Args:
        backbone: Describes images, at its own size or at 224 x 224.
    """

    def __init__(self, backbone: FeatureBackbone) -> None:
        self.backbone, self.size = backbone, backbone.input_spec.size or (SIDE, SIDE)

    def __call__(self, image: Tensor) -> Tensor:
        """Return features (D,) of an image (1, 3, H, W) in [-1, 1]."""
        resized = F.interpolate(image, self.size, mode="bicubic", antialias=True).clamp(-1, 1)
        level = full_precision(self.backbone(resized)[-1])[0]
        return level.reshape(len(level), -1).mean(1)


def build_general(
    catalogue: Catalogue,
    *,
    lpips: Sequence[str] | None = None,
    frechet: Sequence[str] | None = None,
    inception: Path | None = None,
    codebook_size: int | None = None,
    device: torch.device | str = "cpu",
) -> tuple[General, list[str]]:
    """Return the general suite, and a sentence for each network that it would have by default and that is not here.

    Args:
        catalogue: Catalogue in which backbones are registered.
        lpips: Names of backbones whose distances are LPIPS; None for those of `LPIPS` that are here.
        frechet: Names of backbones, or of `SHORT`, in whose last features sets are compared; None for `FRECHET`.
        inception: File of Inception-v3's weights, for rFID; None for the registered one, where it is here.
        codebook_size: Number of codes; None where there are none.
        device: Where to compute.

    Raises:
        WeightsError: Weights of networks that were asked for are not here; all of them are named.
        UnknownNameError: No backbone has that name.
    """
    notes: list[str] = []
    missing: list[str] = []

    def each(names: Sequence[str], asked: bool, build: Callable[[str], Made], what: str) -> dict[str, Made]:
        found = {}
        for name in names:
            try:
                found[name] = build(name)
            except (WeightsError, PluginError) as error:
                (missing if asked else notes).append(f"No {what.format(name)}: {error}")
            except UnknownNameError as error:
                if asked:
                    raise
                notes.append(f"No {what.format(name)}: {error}")
        return found

    perceptual = each(
        LPIPS if lpips is None else lpips, lpips is not None, lambda name: perceptual_of(catalogue, name), "LPIPS in {}"
    )
    networks = each(
        FRECHET if frechet is None else frechet,
        frechet is not None,
        lambda name: features_of(catalogue, name),
        "Fréchet distance in {}",
    )
    networks |= each(["inception-v3"], inception is not None, lambda _: inception_of(inception, catalogue), "rFID")
    if missing:
        raise WeightsError("\n".join(missing))
    return General(perceptual, networks, codebook_size, device), notes


def perceptual_of(catalogue: Catalogue, name: str) -> PerceptualNetwork:
    """Return the perceptual loss in a backbone's features."""
    backbone: FeatureBackbone = catalogue.build("backbone", name)
    sees = "the whole image, as it is" if backbone.input_spec.size is None else f"resized to {backbone.input_spec.size}"
    return PerceptualNetwork(PerceptualLoss(backbone), about(catalogue, name) | {"sees": sees})


def features_of(catalogue: Catalogue, name: str) -> FeatureNetwork:
    """Return a backbone's last features of images that are resized to one size."""
    backbone, options = SHORT.get(name, (name, {}))
    rows = PooledFeatures(catalogue.build("backbone", backbone, options))
    sees = f"the whole image, {rows.size[0]} x {rows.size[1]}, bicubic with antialiasing; features averaged"
    return FeatureNetwork(rows, about(catalogue, backbone, options) | {"options": dict(options), "sees": sees})


def inception_of(file: Path | None, catalogue: Catalogue) -> FeatureNetwork:
    """Return Inception-v3's features; the distance in them is called rFID with the published weights alone."""
    rows = Inception(file)
    real = rows.sha256 == catalogue.weight(WEIGHTS).sha256
    sees = "8-bit values, 299 x 299, bilinear as in TensorFlow 1 (torch-fidelity)"
    return FeatureNetwork(rows, {"weights": {WEIGHTS: rows.sha256}, "sees": sees}, "rfid" if real else "")


def about(catalogue: Catalogue, backbone: str, options: Mapping[str, Any] = MappingProxyType({})) -> dict[str, object]:
    """Return the full name of a backbone, its distribution and the hashes of its weights."""
    part = catalogue.find("backbone", backbone)
    named = [options["weights"]] if "weights" in options else part.weights
    records = [catalogue.weight(name, plugin=part.plugin) for name in named]
    weights = {record.canonical: record.sha256 or sha256_of(locate(record)) for record in records}
    return {"backbone": part.canonical, "version": f"{part.distribution} {part.version}", "weights": weights}
