"""Features of nano-ocr's recogniser: a CRNN's convolutions, trained at 32 x 128."""

from __future__ import annotations

from collections.abc import Sequence

from regionloss import FeatureBackbone, InputSpec
from regionloss.weights import load_state_dict
from regionloss_text.convolutions import Conv, ConvChain, Pool

TALL = Pool((2, 2), (2, 1), (0, 1))
CONVS = (
    Conv("0"),
    Conv("3", pool=Pool()),
    Conv("6", "7", pool=Pool()),
    Conv("9"),
    Conv("12", "13", pool=TALL),
    Conv("16", "17", pool=TALL, padding=0),
)


class NanoOcr(FeatureBackbone):
    """Six levels of nano-ocr's recogniser (4.8 million weights with its sequence model); five by default.

    Levels: 64 x 32 x 128, 128 x 16 x 64, 256 x 8 x 32, 256 x 8 x 32, 512 x 4 x 33, 512 x 1 x 33 (channels first).

    Args:
        out_indices: Numbers of the levels to compare, from 0.

    Raises:
        WeightsError: The file is not here.

    Source: nano-ocr 0.1.0 (its author: trained on MJSynth and IIIT5K).
    """

    def __init__(self, out_indices: Sequence[int] = (0, 1, 3, 4, 5)) -> None:
        chain = ConvChain(CONVS, load_state_dict("nano-ocr", strip_prefix="cnn."))
        super().__init__(chain, InputSpec(size=(32, 128), channels="L"), out_indices=out_indices, channels_last=True)
