"""What the device reaches with nothing but the step's convolutions: the bound that a step is held against."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.gpu.setting import Row, Setting, facts
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer

FORMATS = {"convolutions": torch.contiguous_format, "convolutions, channels-last": torch.channels_last}
#: Share of the part's time that is kept for what comes to an end.
RESERVE = 0.15


class Shape(NamedTuple):
    """A convolution and the size of what it sees."""

    channels: int
    made: int
    kernel: int
    stride: int
    padding: int
    side: int

    @property
    def tflop(self) -> float:
        """1e12 operations of an image, forward and backward."""
        out = (self.side + 2 * self.padding - self.kernel) // self.stride + 1
        return 3 * 2 * self.channels * self.made * self.kernel**2 * out**2 / 1e12


def shapes(setting: Setting) -> Counter[Shape]:
    """Return the convolutions of the tokenizer, and how often each is there."""
    found: Counter[Shape] = Counter()

    def note(module: nn.Conv2d, given: tuple[Tensor], _: Tensor) -> None:
        kernel, stride, padding = (int(pair[0]) for pair in (module.kernel_size, module.stride, module.padding))
        found[Shape(module.in_channels, module.out_channels, kernel, stride, padding, given[0].shape[3])] += 1

    with torch.device("meta"):
        model = InsightTokenizer.from_preset(setting.preset).eval()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    with torch.no_grad():
        model(torch.zeros(1, 3, setting.size, setting.size, device="meta"))
    return found


def milliseconds(setting: Setting, shape: Shape, layout: torch.memory_format) -> float:
    """Return the time of one convolution, forward and backward, in bf16."""
    made = {"device": setting.device, "dtype": torch.bfloat16}
    conv = nn.Conv2d(shape.channels, shape.made, shape.kernel, shape.stride, shape.padding, **made)
    conv.to(memory_format=layout)
    images = torch.randn(setting.batch, shape.channels, shape.side, shape.side, **made)
    images = images.contiguous(memory_format=layout).requires_grad_()
    gradient = torch.randn_like(conv(images))

    def step() -> None:
        torch.autograd.grad(conv(images), [images, conv.weight], gradient)

    step()
    several = setting.rounds(5)
    return setting.timed(lambda: [step() for _ in range(several)], setting.rounds(3))[0] / several


def reached(setting: Setting) -> None:
    """Measure a large matrix product and the convolutions, those with most operations first."""
    device = facts(setting.device)
    setting.write(device)
    peak = device.get("peak_tflops")
    side = 256 if setting.small else 8192
    matrix = torch.randn(side, side, device=setting.device, dtype=torch.bfloat16)
    torch.mm(matrix, matrix)
    product = setting.timed(lambda: torch.mm(matrix, matrix), setting.rounds(10))[0]
    setting.write(row(f"matrix product of {side}", 2 * side**3 / 1e12, product, peak, 1.0))
    torch.backends.cudnn.benchmark = True
    counted = shapes(setting)
    whole = sum(shape.tflop * count for shape, count in counted.items())
    spent, done = dict.fromkeys(FORMATS, 0.0), 0.0
    for shape, count in sorted(counted.items(), key=lambda found: -found[0].tflop * found[1]):
        if setting.left() < RESERVE:
            break
        done += shape.tflop * count
        for name, layout in FORMATS.items():
            spent[name] += count * milliseconds(setting, shape, layout)
        for name, took in spent.items():
            setting.write(row(name, setting.batch * done, took, peak, done / whole))


def row(name: str, tflop: float, took: float, peak: float | None, covers: float) -> Row:
    """Return what is said of operations that took so many milliseconds."""
    rate = 1e3 * tflop / took
    return {"name": name, "ms": took, "tflops": rate, "of_peak": peak and rate / peak, "of_operations": covers}
