"""EasyOCR's English recogniser, the whole CRNN: convolutions, two LSTMs, a score for each character at each step."""

from __future__ import annotations

from torch import Tensor, nn

from regionloss.errors import WeightsError, expected
from regionloss_text.convolutions import Conv, ConvChain, Pool, unrolled

HALF_ROWS = Pool((2, 1), (2, 1))
CONVS = (
    Conv("0"),
    Conv("3", pool=Pool()),
    Conv("6", pool=Pool()),
    Conv("8"),
    Conv("11", "12", pool=HALF_ROWS),
    Conv("14", "15"),
    Conv("18", pool=HALF_ROWS, padding=0),
)
PREFIX = "module.FeatureExtraction.ConvNet."
#: Characters of `english_g2`, in the order of its outputs; output 0 is CTC's blank.
CHARACTERS = "0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ €ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Crnn(nn.Module):
    """Convolutions, two bidirectional LSTMs, a score for each character at each step.

    Args:
        tensors: Tensors of `english_g2.pth` by name.
        weights: Name of the weights, for sentences.

    Raises:
        WeightsError: They are another network's.
    """

    def __init__(self, tensors: dict[str, Tensor], weights: str) -> None:
        super().__init__()
        self.chain = ConvChain(CONVS, {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()})
        self.lstms = nn.ModuleList([nn.LSTM(256, 256, bidirectional=True, batch_first=True) for _ in range(2)])
        self.linears = nn.ModuleList([nn.Linear(512, 256) for _ in range(2)])
        self.prediction = nn.Linear(256, len(CHARACTERS) + 1)
        names = {f"SequenceModeling.{i}.{part}": f"{own}.{i}" for i in (0, 1) for part, own in PARTS}
        names["Prediction"] = "prediction"
        taken = {f"chain.{name}": tensor for name, tensor in self.chain.state_dict().items()}
        for theirs, own in names.items():
            start = f"module.{theirs}."
            taken |= {f"{own}.{n.removeprefix(start)}": t for n, t in tensors.items() if n.startswith(start)}
        try:
            self.load_state_dict(taken)
        except RuntimeError as error:
            got = str(error).splitlines()[-1].strip()[:120]
            raise WeightsError(expected(f"weights '{weights}'", "those of english_g2", got)) from error

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the outputs of all convolutions for grey lines (N, 1, H, W) in [-1, 1]."""
        levels: list[Tensor] = self.chain(images)
        return levels

    def read(self, features: Tensor) -> Tensor:
        """Return logits (N, steps, 97) of the last convolution's output (N, 256, rows, steps)."""
        states = features.mean(2).transpose(1, 2)
        for lstm, linear in zip(self.lstms, self.linears, strict=True):
            assert isinstance(lstm, nn.LSTM)
            states = linear(unrolled(lstm, states))
        logits: Tensor = self.prediction(states)
        return logits


PARTS = (("rnn", "lstms"), ("linear", "linears"))
