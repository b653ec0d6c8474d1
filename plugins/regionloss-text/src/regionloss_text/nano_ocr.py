"""Features of nano-ocr's recogniser: a CRNN's convolutions, trained at 32 x 128."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from regionloss import FeatureBackbone, InputSpec
from regionloss.weights import load_state_dict
from regionloss_text.convolutions import Conv, ConvChain, Pool, unrolled

TALL = Pool((2, 2), (2, 1), (0, 1))
CONVS = (
    Conv("0"),
    Conv("3", pool=Pool()),
    Conv("6", "7", pool=Pool()),
    Conv("9"),
    Conv("12", "13", pool=TALL),
    Conv("16", "17", pool=TALL, padding=0),
)

#: Classes from 1 on, in the order of its outputs; 0 is CTC's blank.
CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.- "


class NanoOcr(FeatureBackbone):
    """Six levels of nano-ocr's recogniser (4.8 million weights with its sequence model); five by default.

    Levels: 64 x 32 x 128, 128 x 16 x 64, 256 x 8 x 32, 256 x 8 x 32, 512 x 4 x 33, 512 x 1 x 33 (channels first).

    Args:
        out_indices: Numbers of the levels to compare, from 0.

    Raises:
        WeightsError: The file is not here.

    Source: nano-ocr 0.1.0 (its author: trained on MJSynth and IIIT5K).
    """

    alphabet = CHARACTERS

    def __init__(self, out_indices: Sequence[int] = (0, 1, 3, 4, 5)) -> None:
        network = NanoNetwork(load_state_dict("nano-ocr"))
        super().__init__(network, InputSpec(size=(32, 128), channels="L"), out_indices=out_indices, channels_last=True)

    def logits(self, network: nn.Module, levels: Sequence[Tensor]) -> Tensor:
        """Return the recogniser's scores (R, 66, 33), from its last level."""
        assert isinstance(network, NanoNetwork)
        return network.read(levels[-1])


class NanoNetwork(nn.Module):
    """The whole recogniser; `forward` returns the outputs of its convolutions.

    Args:
        tensors: Tensors of `nano_ocr_ftr.pth` by name.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        convs = {name.removeprefix("cnn."): tensor for name, tensor in tensors.items() if name.startswith("cnn.")}
        self.chain = ConvChain(CONVS, convs)
        self.rnn = nn.LSTM(512, 256, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(512, len(CHARACTERS) + 1)
        for part in (self.rnn, self.fc):
            start = "rnn." if part is self.rnn else "fc."
            part.load_state_dict({n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)})

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the outputs of all convolutions for images (N, 1, 32, 128)."""
        levels: list[Tensor] = self.chain(images)
        return levels

    def read(self, features: Tensor) -> Tensor:
        """Return scores (N, 66, steps) of the last convolution's output (N, 512, 1, steps)."""
        logits: Tensor = self.fc(unrolled(self.rnn, features.squeeze(2).transpose(1, 2)))
        return logits.transpose(1, 2)
