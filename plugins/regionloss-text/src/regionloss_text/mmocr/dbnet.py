"""DBNet: words in images, by MMOCR's networks and its own post-processing."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from regionloss.backbones import Frozen
from regionloss.checks import check_images
from regionloss.errors import InputError, expected
from regionloss.regions import Regions
from regionloss.weights import origin_of, sha256_of
from regionloss_text.boxes import Found, collect
from regionloss_text.direction import Direction
from regionloss_text.mmocr.checkpoints import find_checkpoint, load_parts
from regionloss_text.mmocr.compat import require_mmocr
from regionloss_text.mmocr.configs import build, input_spec, read_config

NAME = "detector 'text/dbnet'"
VARIANTS = {"r18": "dbnet_resnet18_fpnc_1200e_icdar2015", "r50": "dbnet_resnet50_1200e_icdar2015"}


class DBNet:
    """Finds words with differentiable binarisation. Needs no compiled operation.

    An image is resized as MMOCR's config does it (bilinear, aspect kept, as large as `scale` allows), padded to
    multiples of 32 and normalised; MMOCR's post-processing reads quadrilaterals off the probability map; the
    boxes are the upright ones around them, in pixels of the image that was given.

    Args:
        variant: `"r18"` (ResNet-18, 12.3 million parameters) or `"r50"` (ResNet-50, 25.4 million).
        weights: Name of weights or a path; empty for MMOCR's own, trained on ICDAR 2015.
        scale: Longest and shortest side, pixels, that an image is fitted into, enlarged where it is smaller; None for
            the scale of the config (1333 x 736 for r18, 4068 x 1024 for r50).
        min_score: Least mean probability of a region, in [0, 1].
        unclip_ratio: How far the shrunken regions that the network predicts are grown again.
        batch_size: Images that go through the network together.
        direction: Words whose corners are named from where one begins to read: `"vertical"` ones, `"all"`, which looks
            for upside-down ones too (2 ms a word), or `"none"`: from the upper left as seen.

    Raises:
        PluginError: MMOCR is not installed.
        WeightsError: The weights are missing, or are not DBNet's.
        InputError: An option out of its range.

    Source: Liao et al., "Real-time Scene Text Detection with Differentiable Binarization" (AAAI 2020).
    """

    kind = "text"

    def __init__(
        self,
        variant: Literal["r18", "r50"] = "r18",
        weights: str = "",
        scale: tuple[int, int] | None = None,
        min_score: float = 0.3,
        unclip_ratio: float = 1.5,
        batch_size: int = 8,
        direction: str = "vertical",
    ) -> None:
        check_options(variant, scale, batch_size)
        self.direction = Direction(direction)
        require_mmocr(NAME)
        file = find_checkpoint(weights, VARIANTS[variant])
        config = read_config(f"textdet/dbnet/{VARIANTS[variant]}.py", NAME)
        config.model.det_head.postprocessor.update(min_text_score=min_score, unclip_ratio=unclip_ratio)
        network = build(config.model)
        load_parts(network, file)
        self.spec = input_spec(config.model.data_preprocessor)
        self.divisor = int(config.model.data_preprocessor.pad_size_divisor)
        self.scale = tuple(scale) if scale is not None else scale_of(config)
        self.batch_size = batch_size
        self.version = (
            f"dbnet-{variant}, mmocr 1.0.1, scale {self.scale[0]}x{self.scale[1]}, min_score {min_score:g}, "
            f"unclip_ratio {unclip_ratio:g}, direction {direction}, weights {(origin_of(file) or sha256_of(file))[:8]}"
        )
        self.frozen = Frozen(network)

    def detect(self, images: Tensor) -> Regions:
        """Return the words of images (B, 3, H, W) in [-1, 1], RGB: on the CPU, in continuous pixels, with scores."""
        check_images(images, "images")
        found: list[Found] = []
        with torch.no_grad():
            for start in range(0, len(images), self.batch_size):
                maps = self.probability(images[start : start + self.batch_size])
                found += [self.words(one, images.shape[2:]) for one in maps]
        return self.direction(images, collect(found, (images.shape[2], images.shape[3])))

    def probability(self, images: Tensor) -> Tensor:
        """Return the probability maps (B, h, w) of images (B, 3, H, W) in [-1, 1], resized and padded."""
        images = images.float()
        height, width = self.resized(images.shape[2:])
        # As OpenCV's bilinear resize: not anti-aliased, since what the network was trained on was not either.
        resized = functional.interpolate(images, (height, width), mode="bilinear", align_corners=False)
        pads = (0, -width % self.divisor, 0, -height % self.divisor)
        inputs = functional.pad(self.spec(resized), pads)
        network: Any = self.frozen.network_for(inputs)
        maps: Tensor = network.det_head(network.extract_feat(inputs), None, mode="predict")
        return maps

    def resized(self, size: Any) -> tuple[int, int]:
        """Return height and width that an image of this size is resized to."""
        long, short = max(self.scale), min(self.scale)
        factor = min(long / max(size), short / min(size))
        return max(1, int(size[0] * factor + 0.5)), max(1, int(size[1] * factor + 0.5))

    def words(self, probability: Tensor, size: Any) -> Found:
        """Return the words of one map (h, w), in pixels of an image of this size."""
        from mmocr.structures import TextDetDataSample

        height, width = self.resized(size)
        shrink = (width / size[1], height / size[0])
        sample = TextDetDataSample(metainfo={"scale_factor": shrink})
        network: Any = self.frozen.network
        (sample,) = network.det_head.postprocessor(probability[None], [sample])
        quads = [torch.as_tensor(p, dtype=torch.float32).reshape(4, 2) for p in sample.pred_instances.polygons]
        # MMOCR counts in centres of the map's pixels, half a pixel from their corners.
        half = torch.tensor([0.5 / shrink[0], 0.5 / shrink[1]])
        corners = torch.stack(quads) + half if quads else torch.zeros(0, 4, 2)
        return Found.of(corners, sample.pred_instances.scores.clamp(0, 1))


def check_options(variant: str, scale: tuple[int, int] | None, batch_size: int) -> None:
    """Raise InputError for options that nothing could be built from."""
    if variant not in VARIANTS:
        raise InputError(expected("dbnet.variant", "'r18' or 'r50'", repr(variant)))
    if scale is not None and (len(scale) != 2 or min(scale) < 32):
        raise InputError(expected("dbnet.scale", "[longest side, shortest side] of 32 pixels or more", str(scale)))
    if batch_size < 1:
        raise InputError(expected("dbnet.batch_size", "1 or more", str(batch_size)))


def scale_of(config: Any) -> tuple[int, int]:
    """Return the scale that a config resizes test images to."""
    resize = next(step for step in config.test_pipeline if step["type"] == "Resize")
    return tuple(resize["scale"])
