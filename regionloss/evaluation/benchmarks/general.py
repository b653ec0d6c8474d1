"""General quality: pixels, structure, features, and how a codebook is used."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from regionloss.errors import InputError, RegionLossError
from regionloss.evaluation.benchmarks.base import Examined, Gathered, Measure
from regionloss.evaluation.metrics import (
    count_codes,
    frechet_distance,
    kernel_distance,
    moments,
    perplexity,
    psnr,
    region_mask,
    ssim,
    usage,
)
from regionloss.evaluation.pairs import Original, Pair
from regionloss.losses.whole_image import PerceptualLoss
from regionloss.regions.regions import Regions

#: Images below which a distance between two sets says little.
ENOUGH = 2048
#: Codes up to which a codebook is counted.
MOST_CODES = 1 << 20
#: Pixels up to which a network looks at a whole image: about 1,000 bytes are needed for each.
MOST_PIXELS = 1 << 22

SIDES = ("original", "reconstruction")
EQUAL, CODES = "equal_images", "codes"
PIXELS = {
    "psnr": Measure("PSNR", "dB", True, "Peak signal-to-noise ratio; equal images (infinite) are left out", "image"),
    "psnr_inside": Measure(
        "PSNR inside", "dB", True, "PSNR of the pixels in words and faces, where there are any", "image"
    ),
    "psnr_outside": Measure("PSNR outside", "dB", True, "PSNR of all other pixels of those images", "image"),
    "ssim": Measure("SSIM", "", True, "Structural similarity, 1 for equal images", "image"),
    EQUAL: Measure("Equal images", "%", True, "Share of images given back unchanged: their PSNR is infinite", "set"),
}
BOOK = {
    "usage": Measure("Codes used", "%", True, "Share of the codebook that occurs in these images", "set"),
    "perplexity": Measure("Perplexity", "", True, "exp of the entropy of the codes of all images", "set"),
}


class FeatureRows(Protocol):
    """Describes an image by a row of features."""

    def __call__(self, image: Tensor) -> Tensor:
        """Return features (D,) of an image (1, 3, H, W) in [-1, 1] of any size."""
        ...


@dataclass(frozen=True)
class FeatureNetwork:
    """A network whose features tell two sets of images apart.

    Args:
        rows: Describes an image.
        about: What stands beside its scores: which network it is, its weights' hashes and what it sees.
        frechet: Name of the Fréchet distance in its features; empty for `frechet/NAME`.
    """

    rows: FeatureRows
    about: Mapping[str, object] = field(default_factory=dict)
    frechet: str = ""


@dataclass(frozen=True)
class PerceptualNetwork:
    """A perceptual loss of whole images, with what stands beside its scores."""

    loss: PerceptualLoss
    about: Mapping[str, object] = field(default_factory=dict)


class General:
    """How near a reconstruction is, whatever is in the image.

    Args:
        perceptual: Perceptual losses by name: LPIPS in the trunks of those names.
        networks: Networks for distances between the sets of originals and reconstructions, by name.
        codebook_size: Number of codes; None where there are none, or they are not known.
        device: Where it computes.
    """

    name = "general"

    def __init__(
        self,
        perceptual: Mapping[str, PerceptualNetwork],
        networks: Mapping[str, FeatureNetwork],
        codebook_size: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.perceptual, self.networks, self.device = perceptual, networks, torch.device(device)
        self.codebook_size = codebook_size if codebook_size and codebook_size <= MOST_CODES else None
        self.measures: Mapping[str, Measure] = dict(self._measures())
        self.about: Mapping[str, object] = {
            "pixels": "8-bit values; of a mean of PSNR, equal images are left out",
            "ssim": "window 11 x 11, sigma 1.5, image mirrored at its borders, mean over channels (as torchmetrics)",
            **{f"lpips/{name}": dict(one.about) for name, one in perceptual.items()},
            **{self._frechet(name): dict(one.about) for name, one in networks.items()},
            "torch": torch.__version__,
        }

    def _measures(self) -> Iterator[tuple[str, Measure]]:
        yield from PIXELS.items()
        for name in self.perceptual:
            yield f"lpips/{name}", Measure(f"LPIPS ({name})", "", False, f"Distance in the features of {name}", "image")
        for name in self.networks:
            hint = f"Distance of all images' features of {name} from the originals'"
            title = self._frechet(name).replace("frechet/", "Fréchet ").replace("rfid", "rFID")
            yield self._frechet(name), Measure(title, "", False, f"{hint}, of their Gaussians", "set", ENOUGH)
            yield f"kernel/{name}", Measure(f"Kernel distance ({name})", "", False, f"{hint}, unbiased", "set")
        if self.codebook_size:
            yield from BOOK.items()

    def _frechet(self, network: str) -> str:
        return self.networks[network].frechet or f"frechet/{network}"

    @torch.inference_mode()
    def examine(self, pair: Pair) -> Examined:
        """Return the answers of one pair; what cannot be said of it is absent, and named."""
        found = Answers(pair.original.key, pair.target.shape[2:])
        target, output = (image.to(self.device) for image in (pair.target, pair.output))
        found.counts[EQUAL] = np.array([bool(torch.equal(target, output)), 1], dtype=np.int64)
        found.values["psnr"] = float(psnr(output, target))
        with found.unless_it_fails("no PSNR of regions"):
            found.values |= psnr_of_regions(pair.original, output, target)
        with found.unless_it_fails("no SSIM"):
            found.values["ssim"] = float(ssim(output, target))
        for name, one in self.perceptual.items():
            with found.unless_it_fails(f"no LPIPS in {name}"):
                check_size(target)
                found.values[f"lpips/{name}"] = float(one.loss(output, target))
        for name, network in self.networks.items():
            with found.unless_it_fails(f"no features of {name}"):
                rows = [network.rows(image).float().cpu().numpy() for image in (target, output)]
                found.features |= {f"{name}/{side}": row for side, row in zip(SIDES, rows, strict=True)}
        if self.codebook_size and pair.reconstruction.ids is not None:
            with found.unless_it_fails("codes that cannot be counted"):
                found.counts[CODES] = count_codes(pair.reconstruction.ids, self.codebook_size)
        return found.examined()

    def summary(self, gathered: Gathered) -> Mapping[str, float]:
        """Return the measures of the whole set; those that cannot be said are absent."""
        found = {}
        equal, pairs = gathered.counts.get(EQUAL, (0, 0))
        if pairs:
            found[EQUAL] = float(equal / pairs)
        counts = gathered.counts.get(CODES)
        if counts is not None and counts.any():
            found |= {"usage": usage(counts), "perplexity": perplexity(counts)}
        for name in self.networks:
            first, second = (gathered.features.get(f"{name}/{side}", ()) for side in SIDES)
            kernel = kernel_distance(first, second)
            if kernel is not None:
                found[self._frechet(name)] = frechet_distance(moments(first), moments(second))
                found[f"kernel/{name}"] = kernel
        return found


@dataclass
class Answers:
    """What is said of one pair, and what cannot be said.

    Args:
        key: Name of the image.
        size: Its height and width.
    """

    key: str
    size: Sequence[int]
    values: dict[str, float] = field(default_factory=dict)
    features: dict[str, np.ndarray] = field(default_factory=dict)
    counts: dict[str, np.ndarray] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @contextmanager
    def unless_it_fails(self, what: str) -> Iterator[None]:
        """Name what fails inside, as this sentence's kind of problem: networks refuse images of some sizes."""
        try:
            yield
        except (RegionLossError, RuntimeError, MemoryError) as error:
            self.lose(what, next(iter(str(error).splitlines()), type(error).__name__))

    def lose(self, what: str, reason: str) -> None:
        """Add a problem."""
        self.problems.append(f"{what}: {self.key} ({' x '.join(map(str, self.size))} pixels): {reason}")

    def examined(self) -> Examined:
        """Return the answers, those that are not a number named instead."""
        for name in [name for name, value in self.values.items() if math.isnan(value)]:
            del self.values[name]
            self.lose(f"no {name}", "not a number")
        for name in {name.rpartition("/")[0] for name, row in self.features.items() if not np.isfinite(row).all()}:
            self.features = {own: row for own, row in self.features.items() if own.rpartition("/")[0] != name}
            self.lose(f"no features of {name}", "not finite")
        return Examined(self.values, (), self.features, self.counts, self.problems)


def psnr_of_regions(original: Original, output: Tensor, target: Tensor) -> dict[str, float]:
    """Return PSNR inside and outside the regions of all kinds; nothing of an image without, or of no pixels."""
    if not original.instances:
        return {}
    boxes = torch.tensor([one.box for one in original.instances], dtype=torch.float32)
    regions = Regions.single("any", boxes, (target.shape[2], target.shape[3]))
    inside = region_mask(regions).to(target.device)
    parts = {"psnr_inside": inside, "psnr_outside": ~inside}
    return {name: float(psnr(output, target, mask)) for name, mask in parts.items() if mask.any()}


def check_size(image: Tensor) -> None:
    """Raise InputError for an image (1, 3, H, W) that no network can look at in one piece."""
    if image[0, 0].numel() > MOST_PIXELS:
        raise InputError(f"expected {MOST_PIXELS} pixels at most")
