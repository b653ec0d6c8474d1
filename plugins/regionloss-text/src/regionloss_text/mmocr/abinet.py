"""ABINet's vision model as features: ResNet-45 stages 1 to 5, and its transformer by option."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from regionloss.backbones import FeatureBackbone
from regionloss.errors import InputError, expected
from regionloss.weights import values_matter
from regionloss_text.mmocr.checkpoints import find_checkpoint, load_parts
from regionloss_text.mmocr.compat import require_mmocr
from regionloss_text.mmocr.configs import build, input_spec, read_config

NAME = "backbone 'text/abinet'"
CONFIG = "textrecog/abinet/abinet-vision_20e_st-an_mj.py"
DEFAULT = "abinet-vision_20e_st-an_mj"
STAGES = (0, 1, 2, 3, 4)
LEVELS = ("resnet", "resnet+transformer", "transformer")


class ABINet(FeatureBackbone):
    """Features of ABINet's vision model at 32 x 128, from MMOCR's checkpoints.

    | level | of | channels | size |
    |---|---|---|---|
    | 0 | ResNet-45, stage 1 | 32 | 16 x 64 |
    | 1 | stage 2 | 64 | 16 x 64 |
    | 2 | stage 3 | 128 | 8 x 32 |
    | 3 | stage 4 | 256 | 8 x 32 |
    | 4 | stage 5 | 512 | 8 x 32 |
    | last | transformer, by option | 512 | 8 x 32 |

    MMOCR trained it on BGR images, normalised by the numbers of RGB: its crops are converted to that.

    Args:
        weights: Name of weights or a path to a `.pth` or `.safetensors`; empty for MMOCR's ABINet-vision. A checkpoint
            of the whole ABINet serves as well: only what is used is read from it, strictly.
        levels: `"resnet"`, the five levels of eq. 4; `"resnet+transformer"`, six; or `"transformer"` alone.
        out_indices: Numbers of these levels to compare, from 0; None for all.

    Raises:
        PluginError: MMOCR is not installed.
        WeightsError: The weights are missing, or are not ABINet's.
        InputError: No such levels.

    Source: Fang et al., "Read Like Humans" (CVPR 2021), section 3.1; InsightTok, eq. 4 and section 3.2.1.
    """

    def __init__(
        self,
        weights: str = "",
        levels: Literal["resnet", "resnet+transformer", "transformer"] = "resnet",
        out_indices: Sequence[int] | None = None,
    ) -> None:
        if levels not in LEVELS:
            raise InputError(expected("abinet.levels", f"one of {', '.join(map(repr, LEVELS))}", repr(levels)))
        require_mmocr(NAME)
        config = read_config(CONFIG, NAME)
        network = build_levels(config.model, levels)
        if values_matter():
            load_parts(network, find_checkpoint(weights, DEFAULT))
        spec = input_spec(config.model.data_preprocessor, size=(32, 128))
        super().__init__(network, spec, out_indices=out_indices, channels_last=True)


class ABINetLevels(nn.Module):
    """Levels of ABINet's vision model. Its parts have the names that they have in MMOCR's checkpoints.

    Args:
        backbone: MMOCR's ResNetABI, returning its five stages.
        encoder: MMOCR's ABIEncoder; None where its output is not wanted.
        stages: Whether the stages are among the levels.
    """

    def __init__(self, backbone: nn.Module, encoder: nn.Module | None, stages: bool) -> None:
        super().__init__()
        self.backbone = backbone
        if encoder is not None:
            self.encoder = encoder
        self.stages = stages

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the levels of images (R, 3, 32, 128), each (R, C, h, w)."""
        stages: tuple[Tensor, ...] = self.backbone(images)
        encoder = getattr(self, "encoder", None)
        encoded = () if encoder is None else (encoder(stages[-1], None),)
        return (*(stages if self.stages else ()), *encoded)


def build_levels(model: Any, levels: str) -> ABINetLevels:
    """Build what `levels` needs of the model of a config; the decoder, which reads, is not built."""
    backbone = build({**model.backbone, "out_indices": STAGES})
    encoder = build(model.encoder) if "transformer" in levels else None
    return ABINetLevels(backbone, encoder, stages="resnet" in levels)
