"""Pairs of drawn words, and judges that are simple enough to know what they say."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import torch
from PIL import Image
from torch import Tensor

import regionloss as rl
from regionloss.data.words import TextRenderer, TextStyle
from regionloss.evaluation.pairs import Instance, Original, Pair, Reconstruction
from regionloss.judges import Embedding, Reading

WORDS = ("harbor", "signal", "window", "market", "bridge", "station", "garden", "museum", "castle", "lantern")


@dataclass
class Reader:
    """Reads what a function says of the mean of a region's values."""

    says: Callable[[float], Reading]
    kind: str = "text"
    weights_sha256: str = "ab" * 32
    seen: list[int] = field(default_factory=list)

    def judge(self, images: Tensor, regions: rl.Regions) -> list[Reading]:
        self.seen.append(len(regions))
        found = []
        for x1, y1, x2, y2 in regions.boxes.int().clamp(min=0).tolist():
            found.append(self.says(float(images[0, :, y1:y2, x1:x2].mean())))
        return found


@dataclass
class Knower:
    """Describes a face by the pixels at its keypoints."""

    kind: str = "face"
    weights_sha256: str = "cd" * 32

    def judge(self, images: Tensor, regions: rl.Regions) -> list[Embedding]:
        assert regions.keypoints is not None
        found = []
        for points in regions.keypoints.long().clamp(0, images.shape[2] - 1):
            found.append(
                Embedding(torch.nn.functional.normalize(images[0, :, points[:, 1], points[:, 0]].flatten(), dim=0))
            )
        return found


def pair(image: Tensor, instances: list[Instance], reconstruction: Tensor | None = None) -> Pair:
    return Pair(
        Original("some.png", image, tuple(instances)),
        Reconstruction(image if reconstruction is None else reconstruction),
    )


def drawn(count: int, seed: int = 0) -> list[Pair]:
    """Return pictures with words drawn by the project's own renderer, each beside itself."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = [folder / f"{name}.ttf" for name in ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono")]
    style = TextStyle(font_sizes=(16, 30), words=(3, 5))
    renderer, rng = TextRenderer(fonts, WORDS, style), random.Random(seed)
    found: list[Pair] = []
    for _ in range(count):
        picture, regions = renderer(Image.new("RGB", (256, 256), (200, 190, 170)), rng)
        texts = zip(regions.boxes.tolist(), regions.texts or (), strict=True)
        found.append(pair(rl.to_tensor([picture])[0], [Instance("text", tuple(b), 0.1, text=t) for b, t in texts]))
    return found
