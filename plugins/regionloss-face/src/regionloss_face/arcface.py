"""ArcFace's IR-SE50 as facexlib has it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from regionloss.backbones import FeatureBackbone, InputSpec
from regionloss.errors import InputError, expected
from regionloss_face.from_facexlib import build

#: Numbers of the last block of each stage.
STAGE_ENDS = (2, 6, 20, 23)


class ArcFaceIRSE50(FeatureBackbone):
    """Features of facexlib's ArcFace network, for crops of 112 x 112 aligned to `ARCFACE_TEMPLATE`.

    Levels: 0 is the stem (`input_layer`; 64 channels, 112 x 112), 1 to 4 are the stages (`body.2`, `.6`, `.20`,
    `.23`; 64 at 56, 128 at 28, 256 at 14, 512 at 7).

    The network was trained on crops as OpenCV reads them, BGR: its training code (TreB1eN, InsightFace_Pytorch) keeps
    that order, and whoever feeds `init_recognition_model("arcface")` hands it BGR. Images of this SDK are RGB in any
    case; the option says what they are turned into.

    Args:
        weights: Name of the weights, or a path to `recognition_arcface_ir_se50.pth`.
        out_indices: Numbers of the levels to compare, from 0.
        channels: Order in which the network wants the colours, `"BGR"` or `"RGB"`; the latter for a network of this
            architecture that was trained on RGB.
        key: Entry with the weights in a file that has several networks, such as `"state_dict_backbone"`.

    Raises:
        InputError: Another order.
        PluginError: facexlib is not installed.
        WeightsError: The weights are not here, or are another network's.

    Source: Deng et al., ArcFace (2019); Hu et al., Squeeze-and-excitation networks (2018).
    """

    def __init__(
        self,
        weights: str = "arcface-ir-se50",
        out_indices: Sequence[int] = (0, 1, 2, 3, 4),
        channels: str = "BGR",
        key: str = "",
    ) -> None:
        if channels not in ("BGR", "RGB"):
            raise InputError(expected("arcface-ir-se50.channels", "'BGR' or 'RGB'", repr(channels)))
        options = {"num_layers": 50, "drop_ratio": 0.6, "mode": "ir_se"}
        network = build("recognition.arcface_arch", "Backbone", weights, key, **options)
        super().__init__(network, InputSpec((112, 112), channels=channels), out_indices=out_indices, channels_last=True)

    def levels(self, network: nn.Module, images: Tensor) -> list[Tensor]:
        """Return the stem and the four stages."""
        features = network.get_submodule("input_layer")(images)
        levels = [features]
        for number, block in enumerate(network.get_submodule("body").children()):
            features = block(features)
            if number in STAGE_ENDS:
                levels.append(features)
        return levels

    def embedding(self, network: nn.Module, levels: Sequence[Tensor]) -> Tensor:
        """Return descriptions (R, 512), not normalised, from the last of all levels."""
        vectors: Tensor = network.get_submodule("output_layer")(levels[-1])
        return vectors
