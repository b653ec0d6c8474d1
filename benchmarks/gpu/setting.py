"""What the parts measure, where, and how much of it in the time that they have."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.step_share import gflops
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer

Row = dict[str, Any]

#: Dense bf16 TFLOP/s by the first words of a device's name, from the vendor's data sheets; the longest match counts.
PEAKS = {
    "NVIDIA H100 PCIe": 756.0,
    "NVIDIA H100 NVL": 835.0,
    "NVIDIA H100": 989.4,
    "NVIDIA H200": 989.4,
    "NVIDIA H20": 148.0,
    "NVIDIA GH200": 989.4,
    "NVIDIA B200": 2250.0,
    "NVIDIA A100": 312.0,
    "NVIDIA A10": 125.0,
    "NVIDIA L40S": 362.0,
    "NVIDIA L4": 121.0,
    "NVIDIA GeForce RTX 4090": 165.2,
}


@dataclass(frozen=True)
class Setting:
    """The paper's setting on a GPU; on a CPU the same in small, to see that it runs.

    Args:
        device: Device of torch.
        write: Takes a row as soon as it is measured; a row of the same name is replaced.
        seconds: Time that the part has.
        backend: What `torch.compile` compiles with.
    """

    device: str
    write: Callable[[Row], None]
    seconds: float = 480.0
    backend: str = "inductor"
    began: float = field(default_factory=time.monotonic)

    @property
    def small(self) -> bool:
        """Whether only that it runs matters."""
        return self.device == "cpu"

    @property
    def preset(self) -> str:
        """Name of the tokenizer."""
        return "miniature" if self.small else "insighttok-426m"

    @property
    def size(self) -> int:
        """Side of the images, pixels."""
        return 48 if self.small else 256

    @property
    def batch(self) -> int:
        """Number of images in the paper's micro-batch."""
        return 2 if self.small else 16

    def rounds(self, most: int) -> int:
        """Return how often something is timed."""
        return 1 if self.small else most

    def left(self) -> float:
        """Return the share of the part's time that is left."""
        return 1 - (time.monotonic() - self.began) / self.seconds

    def wait(self) -> None:
        """Wait until the device is done."""
        if not self.small:
            torch.cuda.synchronize()

    def timed(self, work: Callable[[], object], rounds: int) -> tuple[float, float]:
        """Return medians of milliseconds until a call is done, and until it has returned."""
        whole, host = [], []
        for _ in range(rounds):
            self.wait()
            start = time.perf_counter()
            work()
            host.append(time.perf_counter() - start)
            self.wait()
            whole.append(time.perf_counter() - start)
        return 1e3 * statistics.median(whole), 1e3 * statistics.median(host)

    def step_tflop(self, batch: int) -> float:
        """Return the 1e12 operations of the tokenizer's forward and backward pass: three times the forward's."""
        with torch.device("meta"):
            model = InsightTokenizer.from_preset(self.preset).eval()
        images = torch.zeros(1, 3, self.size, self.size, device="meta")
        return 3 * batch * gflops(lambda: model(images)) / 1e3


def facts(device: str) -> Row:
    """Return what a device is."""
    found: Row = {"name": "device", "torch": torch.__version__}
    if device == "cpu":
        return {**found, "is": "cpu"}
    made = torch.cuda.get_device_properties(device)
    matches = [known for known in PEAKS if made.name.startswith(known)]
    peak = PEAKS[max(matches, key=len)] if matches else None
    more = {"is": made.name, "gib": made.total_memory / 2**30, "cuda": torch.version.cuda}
    return {**found, **more, "cudnn": torch.backends.cudnn.version(), "peak_tflops": peak}
