"""Features of EasyOCR's English recogniser: the convolutions of its CRNN, without the sequence model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from regionloss import FeatureBackbone, InputSpec
from regionloss.checks import size_of
from regionloss.errors import InputError, expected
from regionloss.weights import load_state_dict
from regionloss_text.crnn_network import CHARACTERS, Crnn

#: Mean squared length of a feature vector on drawn words, by level (studies/text_levels measures it).
ENERGY = (3.5, 45.0, 910.0, 3700.0, 370.0, 300.0, 2100.0)


class CrnnEnglishG2(FeatureBackbone):
    """Seven levels of the recogniser `english_g2` (VGG, 1.4 million weights); five of them by default.

    | level | channels | size at 32 x 128 | sees (pixels of the crop) |
    |-------|----------|------------------|---------------------------|
    | 0     | 32       | 32 x 128         | 3 x 3: edges              |
    | 1     | 64       | 16 x 64          | 8 x 8: strokes            |
    | 2     | 128      | 8 x 32           | 18 x 18                   |
    | 3     | 128      | 8 x 32           | 26 x 26: parts of letters |
    | 4     | 256      | 4 x 32           | 46 x 34                   |
    | 5     | 256      | 4 x 32           | 62 x 42: letters          |
    | 6     | 256      | 1 x 31           | 86 x 46: letters in place |

    The levels differ a thousandfold in scale, so in the plain mean of eq. 4 the fourth and the seventh decide alone;
    `balance` gives each an equal say (the plugin's README has the measurements).

    Args:
        out_indices: Numbers of the levels to compare, 0 to 6.
        balance: Divide every level by a constant, so that its vectors have a mean squared length of one on words.
        size: Height and width of the crops, pixels; the recogniser itself was trained on 64 x (any width).

    Raises:
        WeightsError: The file is not here.
        InputError: A size below 32 x 16.

    Source: Shi et al. 2015 (CRNN); weights of EasyOCR (`english_g2.pth`).
    """

    alphabet = CHARACTERS

    def __init__(
        self,
        out_indices: Sequence[int] = (0, 1, 3, 5, 6),
        balance: bool = False,
        size: tuple[int, int] = (32, 128),
    ) -> None:
        height, width = size_of(size, "crnn-english-g2.size")
        if height < 32 or width < 16:
            raise InputError(expected("crnn-english-g2.size", "at least 32 x 16", f"{height} x {width}"))
        network = Crnn(load_state_dict("english-g2"), "english-g2")
        super().__init__(
            network, InputSpec(size=(height, width), channels="L"), out_indices=out_indices, channels_last=True
        )
        self.balance = balance

    def levels(self, network: nn.Module, images: Tensor) -> Sequence[Tensor] | Tensor:
        """Return all seven levels of images (R, 1, height, width)."""
        levels = super().levels(network, images)
        if not self.balance:
            return levels
        return [level / math.sqrt(energy) for level, energy in zip(levels, ENERGY, strict=True)]

    def logits(self, network: nn.Module, levels: Sequence[Tensor]) -> Tensor:
        """Return the recogniser's scores (R, 97, positions), from its last level."""
        assert isinstance(network, Crnn)
        last = levels[-1] * math.sqrt(ENERGY[-1]) if self.balance else levels[-1]
        return network.read(last).transpose(1, 2)
