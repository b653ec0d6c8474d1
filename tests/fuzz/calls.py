"""Calls of the public API with arguments of other types, shapes, ranges and devices than it asks for."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import regionloss as rl
from tests.fuzz.damage import HUGE
from tests.fuzz.judging import Fault

Arguments = dict[str, Any]
SIZE = (24, 32)


class OneLevel(torch.nn.Conv2d):
    """A network of one convolution."""

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return one feature map."""
        return [super().forward(images)]


@functools.cache
def backbone() -> rl.FeatureBackbone:
    """Return a small random network."""
    torch.manual_seed(0)
    return rl.FeatureBackbone(OneLevel(3, 4, 3), rl.InputSpec())


def loss(**options: Any) -> rl.RegionPerceptualLoss:
    """Return a loss of small crops."""
    return rl.RegionPerceptualLoss(rl.ResizeExtractor(size=(8, 12)), backbone(), **options)


def images(count: int = 2) -> torch.Tensor:
    """Return images that no two calls share."""
    return torch.rand(count, 3, *SIZE) * 1.6 - 0.8


def regions(**other: Any) -> rl.Regions:
    """Return three regions in two images."""
    boxes = torch.tensor([[2.0, 3, 14, 9], [0, 0, 32, 24], [10.5, 4, 20, 22]])
    values = {
        "kind": "text",
        "boxes": boxes,
        "image_index": torch.tensor([0, 1, 1]),
        "image_size": SIZE,
        "num_images": 2,
    }
    return rl.Regions(**{**values, **other})


def per_image() -> list[dict[str, rl.Regions]]:
    """Return what datasets give: the regions of each image."""
    return [{"text": regions().of_image(number)} for number in range(2)]


#: Name -> the call, and sound arguments.
CALLS: dict[str, tuple[Callable[..., Any], Callable[[], Arguments]]] = {
    "Regions": (
        rl.Regions,
        lambda: {
            "kind": "face", "boxes": torch.tensor([[2.0, 3, 14, 9]]), "image_index": torch.tensor([0]),
            "image_size": SIZE, "num_images": 1, "keypoints": torch.rand(1, 5, 2) * 20, "scores": torch.tensor([0.5]),
            "valid": torch.tensor([True]), "annotated": torch.tensor([True]), "texts": ("a",),
        },
    ),
    "loss": (
        lambda reconstruction, target, regions: loss()(reconstruction, target, regions),
        lambda: {"reconstruction": images().requires_grad_(), "target": images(), "regions": regions()},
    ),
    "terms": (
        lambda reconstruction, target, regions, step: rl.LossTerms({"text": rl.Term(loss(), "text", 0.5)})(
            reconstruction, target, regions, step
        ).total,
        lambda: {
            "reconstruction": images().requires_grad_(), "target": images(), "regions": {"text": regions()}, "step": 3
        },
    ),
    "Term": (rl.Term, lambda: {"loss": loss(), "kind": "text", "weight": 0.5, "start_step": 0}),
    "LossTerms": (rl.LossTerms, lambda: {"terms": {"text": rl.Term(loss(), "text")}}),
    "from_names": (rl.LossTerms.from_names, lambda: {"weights": {}, "value_range": (-1.0, 1.0)}),
    "RegionPerceptualLoss": (
        loss,
        lambda: {"chunk_size": 2, "value_range": (-1.0, 1.0), "reduction": "sum"},
    ),
    "ResizeExtractor": (rl.ResizeExtractor, lambda: {"size": (8, 12)}),
    "LetterboxExtractor": (rl.LetterboxExtractor, lambda: {"size": (8, 12)}),
    "AlignedExtractor": (rl.AlignedExtractor, lambda: {"template": [[1.0, 2], [7, 2], [4, 6]], "size": (9, 9)}),
    "InputSpec": (rl.InputSpec, lambda: {"value_range": (0, 1), "mean": (0.5,) * 3, "std": (0.2,) * 3}),
    "RegionFilter": (
        lambda **options: rl.collate_regions(per_image(), {"text": rl.RegionFilter(**options)}),
        lambda: {"min_side": 2.0, "min_visible": 0.5, "per_image": 2, "per_batch": 3, "drop": 0.1, "pad_to": (4, 8)},
    ),
    "collate_regions": (rl.collate_regions, lambda: {"per_image": per_image(), "filters": None, "generator": None}),
    "to_tensor": (rl.to_tensor, lambda: {"images": [Image.new("RGB", (8, 6)), Image.new("RGB", (8, 6))]}),
    "read_image": (rl.read_image, lambda: {"path": "absent.png"}),
    "detect": (rl.detect, lambda: {"images": images(), "detector": "whole_image", "options": {}}),
    "load_terms": (rl.load_terms, lambda: {"terms": "absent.yaml", "overrides": (), "value_range": (-1.0, 1.0)}),
}  # fmt: skip


def box(*values: float) -> torch.Tensor:
    """Return one box."""
    return torch.tensor([values])


#: Of each rule about a value, a call that breaks it: the name, and what is given instead of what is right.
WRONG: tuple[tuple[str, Callable[[], Arguments]], ...] = (
    ("Regions", lambda: {"boxes": box(5, 3, 5, 9)}),
    ("Regions", lambda: {"boxes": box(2, 9, 14, 9)}),
    ("Regions", lambda: {"boxes": box(14, 3, 2, 9)}),
    ("Regions", lambda: {"boxes": box(2, math.nan, 14, 9)}),
    ("Regions", lambda: {"boxes": torch.zeros(1, 5)}),
    ("Regions", lambda: {"image_index": torch.tensor([1])}),
    ("Regions", lambda: {"image_index": torch.tensor([-1])}),
    ("Regions", lambda: {"image_index": torch.tensor([0.0])}),
    ("Regions", lambda: {"image_size": (0, 32)}),
    ("Regions", lambda: {"keypoints": torch.zeros(2, 5, 2)}),
    ("Regions", lambda: {"scores": torch.zeros(2)}),
    ("Regions", lambda: {"texts": ("a", "b")}),
    ("Regions", lambda: {"kind": ""}),
    ("loss", lambda: {"target": torch.zeros(2, 3, 24, 31)}),
    ("loss", lambda: {"target": torch.full((2, 3, *SIZE), math.nan)}),
    ("loss", lambda: {"reconstruction": images(), "target": images().requires_grad_()}),
    ("loss", lambda: {"reconstruction": torch.zeros(3, 3, *SIZE), "target": torch.zeros(3, 3, *SIZE)}),
    ("LossTerms", lambda: {"terms": {"text": rl.Term(loss(), "text", -math.inf)}}),
    ("LossTerms", lambda: {"terms": {"text": rl.Term(loss(), "text", math.inf)}}),
    ("LossTerms", lambda: {"terms": {"text": rl.Term(loss(), "text", start_step=-1)}}),
    ("RegionPerceptualLoss", lambda: {"chunk_size": 0}),
    ("RegionPerceptualLoss", lambda: {"value_range": (1.0, 1.0)}),
    ("RegionPerceptualLoss", lambda: {"reduction": "means"}),
    ("ResizeExtractor", lambda: {"size": (0, 12)}),
    ("AlignedExtractor", lambda: {"template": [[1.0, 2]]}),
    ("InputSpec", lambda: {"std": (0.2, 0.0, 0.2)}),
    ("RegionFilter", lambda: {"min_visible": 1.5}),
    ("RegionFilter", lambda: {"drop": -0.1}),
    ("RegionFilter", lambda: {"per_image": -1}),
    ("RegionFilter", lambda: {"choose": "smallest"}),
    ("collate_regions", lambda: {"per_image": [{"text": regions()}]}),
    ("detect", lambda: {"images": images() * 9}),
)


def odd(rng: random.Random, value: Any) -> Any:
    """Return something that stands where `value` did: what was meant, nearly, or something else altogether."""
    if isinstance(value, torch.Tensor):
        value = value.detach()
        wrong = (
            value[None], value[0], value[..., :-1], value[:0], value.double(), value.half(), value.long(), value.bool(),
            value.numpy(), value.tolist(), value * math.nan, value * math.inf, value * 1e30, value.float().neg(), 
            value.flatten(), value.mT if value.ndim > 1 else value, torch.tensor(0.5), torch.cat([value, value]),
            value.to_sparse(), value.to(torch.complex64),
        )  # fmt: skip
        return rng.choice((*wrong, None, "x", 3))
    anything = (
        None, "", "x", "text", "text/none", "sum", 0, 1, -1, 0.5, -0.5, 10**9, HUGE, math.nan, math.inf, True, (), [],
        {}, (0, 0), (8, 8, 8), (8.5, 9), ("a", "b"), (10**6, 10**6), (1, -1), [[]], {"text": None}, {"text": regions()},
        {"face": regions()}, regions(), regions().of_image(0), np.zeros((2, 4)), torch.zeros(2, 4), b"x", object(),
        Path("x"), len, "a\0b", "x" * 5_000,
    )  # fmt: skip
    return rng.choice(anything)


def fuzz(rng: random.Random, folder: Path) -> None:
    """Call something with one or two arguments odd: a finite value, or a sentence; with a wrong one, a sentence."""
    torch.manual_seed(rng.randrange(2**31))
    if rng.random() < 0.6:
        name, given = rng.choice(WRONG)
        call, sound = CALLS[name]
        call(**{**sound(), **given()})
        raise Fault(f"{name}({', '.join(f'{key}={shown(one)}' for key, one in given().items())}) is right")
    name = rng.choice(list(CALLS))
    call, sound = CALLS[name]
    arguments = sound()
    for place in rng.sample(list(arguments), min(len(arguments), rng.choice((1, 1, 2)))):
        arguments[place] = odd(rng, arguments[place])
    try:
        value = call(**arguments)
    except Exception as error:
        error.args = (f"{name}({', '.join(f'{key}={shown(one)}' for key, one in arguments.items())}): {error}",)
        raise
    if isinstance(value, torch.Tensor) and value.device.type != "meta" and not value.isfinite().all():
        raise Fault(f"{name}: a value that is not finite, without a word")


def shown(value: Any) -> str:
    """Return a short word for an argument."""
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}@{value.device}"
    return f"{type(value).__name__}:{str(value)[:24]}" if not isinstance(value, rl.Regions) else "Regions"
