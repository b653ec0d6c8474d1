"""Features of PP-OCRv6's recogniser: it reads Chinese, Japanese, and Latin letters with their accents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from regionloss import FeatureBackbone, InputSpec
from regionloss.backbones import read_onnx
from regionloss.checks import size_of
from regionloss.errors import InputError, expected
from regionloss.weights import locate

#: Outputs in the file: the ends of its stages, and what its neck has made of the whole line.
LEVELS = (
    "p2o.pd_op.relu.0.0",
    "p2o.pd_op.add.18.0",
    "p2o.pd_op.add.51.0",
    "p2o.pd_op.add.64.0",
    "p2o.pd_op.add.78.0",
)
#: The reader pools three rows, of a sixteenth of the height each, into one.
HEIGHT = 48


class PPOcrV6(FeatureBackbone):
    """Five levels of PP-OCRv6's small recogniser (5.3 million weights), which reads 18,708 characters.

    | level | channels | size at 48 x 192 | what it is                           |
    |-------|----------|------------------|--------------------------------------|
    | 0     | 48       | 24 x 96          | edges                                |
    | 1     | 96       | 12 x 48          | strokes                              |
    | 2     | 192      | 6 x 48           | parts of characters                  |
    | 3     | 384      | 3 x 48           | characters                           |
    | 4     | 120      | 1 x 24           | the line, after attention between all its columns |

    Another reader has to judge what was trained against it: an evaluation refuses PP-OCRv6 as judge then.

    Args:
        weights: Name of the weights, or a path to `PP-OCRv6_rec_small.onnx`.
        out_indices: Numbers of the levels to compare, 0 to 4.
        size: Height and width of the crops, pixels. The height is 48; wide ones suit lines better than words.

    Raises:
        WeightsError: The file is not here, or is another network's.
        InputError: Another height, or a width below 16.

    Source: PP-OCRv6 (PaddleOCR, Apache-2.0), as shipped by RapidOCR.
    """

    def __init__(
        self,
        weights: str = "ppocr-v6-rec",
        out_indices: Sequence[int] = (0, 1, 2, 3, 4),
        size: tuple[int, int] = (HEIGHT, 192),
    ) -> None:
        height, width = size_of(size, "ppocr-v6.size")
        if height != HEIGHT or width < 16:
            raise InputError(expected("ppocr-v6.size", f"{HEIGHT} x 16 or wider", f"{height} x {width}"))
        given = Path(weights).expanduser()
        file = given if given.is_file() or given.suffix == ".onnx" else locate(weights)
        spec = InputSpec(size=(height, width), channels="BGR")
        super().__init__(read_onnx(file, LEVELS), spec, out_indices=out_indices)

    def levels(self, network: nn.Module, images: Tensor) -> Sequence[Tensor]:
        """Return all five levels of images (R, 3, 48, width)."""
        levels: Sequence[Tensor] = network(images)
        return levels
