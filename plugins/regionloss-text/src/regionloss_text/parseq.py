"""TokBench's judge of text: PARSeq, through docTR. A reader with a language model in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss import upright_crops
from regionloss.backbones import Frozen
from regionloss.checks import check_images, check_regions
from regionloss.errors import InputError, PluginError, WeightsError, expected
from regionloss.judges import Reading
from regionloss.regions import Regions
from regionloss.weights import load_state_dict
from regionloss_text.given_file import hash_of
from regionloss_text.rapid import Pixels, to_bgr

if TYPE_CHECKING:
    from torch import nn

SIZE = (32, 128)
#: Normalisation of docTR's PARSeq, RGB in [0, 1].
MEAN, STD = (0.694, 0.695, 0.693), (0.299, 0.296, 0.301)
#: Layers of the decoder that files from before docTR 0.11 have and no network uses.
UNUSED = ("decoder.attention_norm.", "decoder.cross_attention_norm.")


class ParseqJudge:
    """Reads each region with PARSeq (ViT-S, 126 characters), cut and normalised as TokBench does.

    A reading does not depend on the regions beside it: it ends after 33 symbols at most, whatever these are. TokBench's
    own script ends after the longest transcription in a batch of 64 and one symbol; so does `judge_in_batches`.

    Args:
        weights: Name of the weights, or a path to docTR's `parseq-56125471.pt`.
        batch_size: Crops per call of the network.

    Raises:
        InputError: A batch size below 1.
        PluginError: docTR is not installed.
        WeightsError: The weights are not here, or are another network's.

    Source: Bautista and Atienza, PARSeq (2022), as docTR has it; TokBench's evaluation.
    """

    kind = "text"
    language_model = True
    pipeline = (
        "RGB, box truncated to whole pixels, end exclusive; x / 255, to fit 32 x 128 with its aspect kept (bilinear, "
        "antialiased), 0 on the right and below, then (x - (0.694, 0.695, 0.693)) / (0.299, 0.296, 0.301)"
    )

    def __init__(self, weights: str = "doctr-parseq", batch_size: int = 64) -> None:
        if batch_size < 1:
            raise InputError(expected("parseq.batch_size", "1 or more", str(batch_size)))
        network = make_network()
        take(network, weights)
        self.weights_sha256 = hash_of(weights)
        self.network, self.batch_size = Frozen(network), batch_size
        self.tool = f"PARSeq, docTR {version('python-doctr')}"
        self.characters = frozenset(str(network.vocab))

    def judge(self, images: Tensor, regions: Regions) -> list[Reading]:
        """Return one reading per region of images (B, 3, H, W) in [-1, 1], in their order.

        Raises:
            InputError: Images or regions that do not fit.
        """
        return self._read(images, regions, [None] * len(regions))

    def judge_in_batches(self, images: Tensor, regions: Regions, batches: Sequence[tuple[str, ...]]) -> list[Reading]:
        """Return readings as TokBench's script makes them: no longer than the longest transcription of the batch.

        Args:
            images: Images (B, 3, H, W) in [-1, 1].
            regions: The R regions to read.
            batches: Transcriptions of the batch of 64 in which each region is read.

        Raises:
            InputError: Images or regions that do not fit.
        """
        network: Any = self.network.network_for(images)
        lengths: dict[tuple[str, ...], int | None] = {}
        for batch in dict.fromkeys(batches):
            if all(self.characters.issuperset(text) for text in batch):
                # docTR's own encoding says how long a target may be, its first and last symbols not counted.
                lengths[batch] = min(max(map(len, batch)), network.build_target(list(batch))[0].shape[1] - 2)
        problem = Reading("", 0.0, "batch that TokBench skips: it has characters that PARSeq does not know")
        found = self._read(images, regions, [lengths.get(batch) for batch in batches])
        return [one if batch in lengths else problem for one, batch in zip(found, batches, strict=True)]

    @torch.no_grad()
    def _read(self, images: Tensor, regions: Regions, lengths: Sequence[int | None]) -> list[Reading]:
        check_images(images, "images")
        check_regions(regions, images)
        pixels, upright = to_bgr(images)[..., ::-1], upright_crops(images, regions)
        readings = [Reading("", 0.0, "empty crop: nothing is left when the box is cut to whole pixels")] * len(regions)
        groups: dict[int | None, list[tuple[int, Tensor]]] = defaultdict(list)
        boxes, owners = regions.boxes.detach().cpu().tolist(), regions.image_index.cpu().tolist()
        for number, (box, owner) in enumerate(zip(boxes, owners, strict=True)):
            cut = to_bgr(upright[number][None])[0, ..., ::-1] if number in upright else crop(pixels[owner], box)
            if cut.size:
                groups[lengths[number]].append((number, prepare(cut)))
        network: Any = self.network.network_for(images)
        for length, group in groups.items():
            for part in (group[i : i + self.batch_size] for i in range(0, len(group), self.batch_size)):
                crops = torch.stack([cut for _, cut in part]).to(images.device)
                features = network.feat_extractor(crops)["features"][:, 1:]
                read = network.postprocessor(network.decode_autoregressive(features, length))
                for (number, _), (text, score) in zip(part, read, strict=True):
                    readings[number] = Reading(text, float(score))
        return readings


def crop(image: Pixels, box: Sequence[float]) -> Pixels:
    """Return the pixels (h, w, 3) of a box x1, y1, x2, y2, truncated to whole pixels; empty where it begins outside."""
    x1, y1, x2, y2 = (int(side) for side in box)
    return image[y1:y2, x1:x2] if min(x1, y1) >= 0 else image[:0, :0]


def prepare(pixels: Pixels) -> Tensor:
    """Return the pixels (h, w, 3) of a crop as the network sees them, (3, 32, 128)."""
    values = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
    aspect = pixels.shape[0] / pixels.shape[1]
    height, width = SIZE
    if aspect > height / width:
        width = max(int(height / aspect), 1)
    elif aspect < height / width:
        height = max(int(width * aspect), 1)
    small = F.interpolate(values, (height, width), mode="bilinear", antialias=True)
    whole = F.pad(small, (0, SIZE[1] - width, 0, SIZE[0] - height))[0]
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (MEAN, STD))
    return (whole - mean) / std


def make_network() -> nn.Module:
    """Return docTR's PARSeq with random weights. Raises PluginError where docTR is not installed."""
    try:
        from doctr.models import parseq
    except ImportError as error:
        advice = "Run pip install 'regionloss-text[doctr]'."
        got = f"none that can be imported ({error})"
        raise PluginError(expected("parseq", "the package python-doctr", got, advice)) from error
    network: nn.Module = parseq(pretrained=False)
    return network


def take(network: nn.Module, weights: str) -> None:
    """Give PARSeq its weights. Raises WeightsError where they are not here, or are another network's."""
    tensors = load_state_dict(weights)
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith(UNUSED)}
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        got = "; ".join(first(str(error).splitlines()[1:], 2)) or "others"
        raise WeightsError(expected(f"weights '{weights}'", "those of docTR's PARSeq", got)) from error


def first(lines: Iterable[str], count: int) -> list[str]:
    """Return the first lines, without what stands around them, none of them long."""
    return [line.strip()[:120] for line, _ in zip(lines, range(count), strict=False)]
