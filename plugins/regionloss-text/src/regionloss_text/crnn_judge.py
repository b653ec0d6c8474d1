"""A second judge of text without a language model: EasyOCR's English recogniser, read letter by letter (CTC)."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from regionloss.backbones import Frozen
from regionloss.errors import InputError, expected
from regionloss.judges import Reading
from regionloss.regions import Regions
from regionloss.weights import load_state_dict
from regionloss_text.crnn_network import CHARACTERS, Crnn
from regionloss_text.given_file import hash_of
from regionloss_text.judge import crops_of
from regionloss_text.rapid import Pixels

HEIGHT = 64
#: Widest crop, in heights: wider ones are squeezed.
WIDEST = 64


class CrnnEnglishG2Judge:
    """Reads each region with EasyOCR's `english_g2`, the whole CRNN, letter by letter.

    Terms of this plugin train against its convolutions: an evaluation refuses it after such a training. It is of use
    where the terms used another network.

    Args:
        weights: Name of the weights, or a path to `english_g2.pth`.
        margin: Added around a box on each side, as a share of its height.

    Raises:
        InputError: A negative margin.
        WeightsError: The weights are not here, or are another network's.

    Source: Shi et al. 2015 (CRNN); weights of EasyOCR (`english_g2.pth`).
    """

    kind = "text"
    language_model = False
    characters = frozenset(CHARACTERS)

    def __init__(self, weights: str = "english-g2", margin: float = 0.1) -> None:
        if not margin >= 0:
            raise InputError(expected("crnn-english-g2.margin", "0 or more", str(margin)))
        self.margin = margin
        self.network = Frozen(Crnn(load_state_dict(weights), weights))
        self.weights_sha256 = hash_of(weights)
        self.tool = "english_g2 of EasyOCR (CRNN, greedy CTC)"
        self.pipeline = (
            f"box and {margin:g} of its height around it, whole pixels, clipped to the image; grey, 64 pixels high "
            "(Lanczos), last column repeated to a multiple of 64, (x / 255 - 0.5) / 0.5"
        )

    @torch.no_grad()
    def judge(self, images: Tensor, regions: Regions) -> list[Reading]:
        """Return one reading per region of images (B, 3, H, W) in [-1, 1], in their order.

        Raises:
            InputError: Images or regions that do not fit.
        """
        # Those of one width go together: padding to another crop's width would change a reading.
        groups: dict[int, list[tuple[int, Tensor]]] = defaultdict(list)
        for number, crop in enumerate(crops_of(images, regions, self.margin)):
            line = prepare(crop[..., ::-1])
            groups[line.shape[2]].append((number, line))
        readings = [Reading("", 0.0)] * len(regions)
        network = self.network.network_for(images)
        assert isinstance(network, Crnn)
        for group in groups.values():
            levels = network(torch.stack([line for _, line in group]).to(images.device))
            logits = network.read(levels[-1])
            for (number, _), steps in zip(group, logits.softmax(2).cpu(), strict=True):
                readings[number] = decode(steps)
        return readings


def prepare(pixels: Pixels) -> Tensor:
    """Return the pixels (h, w, 3), RGB, of a crop as a grey line (1, 64, W) in [-1, 1], W a multiple of 64."""
    aspect = min(pixels.shape[1] / pixels.shape[0], WIDEST)
    size = max(math.ceil(HEIGHT * aspect), 1), HEIGHT
    grey = Image.fromarray(np.ascontiguousarray(pixels)).convert("L").resize(size, Image.Resampling.LANCZOS)
    line = torch.from_numpy(np.array(grey)).float()[None] / 127.5 - 1
    return F.pad(line, (0, -size[0] % HEIGHT), mode="replicate")


def decode(steps: Tensor) -> Reading:
    """Return what probabilities (steps, 97) say: the likeliest character of each step, each run of one once, no blanks.

    The confidence is the product over the steps that have a character, as EasyOCR weighs it.
    """
    scores, best = steps.max(1)
    text = "".join(CHARACTERS[one - 1] for one, _ in groupby(best.tolist()) if one)
    kept = scores[best > 0].double()
    return Reading(text, float(kept.prod() ** (2 / math.sqrt(len(kept)))) if len(kept) else 0.0)
