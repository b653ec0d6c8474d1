"""What the parts of a training step won over plain ones, on a CPU, side by side in one process.

    python -m benchmarks.step_changes [--preset miniature] [--size 48] [--images 8] [--bf16] [--threads 1] [--rounds 5]

The trainer's own step, with every loss but region terms: as it is; with one part as it was at first; with all of them.
Group norm and SiLU were two steps, attention wrote its matrix out, and targets took gradients through frozen networks.
Processor time, medians of alternating rounds. The overlap of gradients needs several ranks, and is not in it: with one
rank there is nothing to send.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import cycle
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.gpu.setting import Setting
from benchmarks.gpu.step import CHOSEN, Variant, begun, drawn
from benchmarks.region_terms import measure
from insighttok_ref.tokenizers.insighttok import blocks, decoder, encoder
from insighttok_ref.trainers.tokenizer.loop import train_step
from regionloss.backbones import FeatureBackbone


def two_steps(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Return `silu(norm(x))`, each kept."""
    return F.silu(norm(x))


def written_out(self: blocks.AttentionBlock, x: Tensor) -> Tensor:
    """Return attention over all positions, through the matrix of all pairs."""
    h = self.norm(x)
    q, k, v = (conv(h).flatten(2) for conv in (self.q, self.k, self.v))
    pairs = (torch.bmm(q.transpose(1, 2), k) * q.shape[1] ** -0.5).softmax(2)
    return x + self.proj_out(torch.bmm(v, pairs.transpose(1, 2)).reshape(x.shape))


def with_gradients(self: FeatureBackbone, crops: Tensor, target_crops: Tensor | None = None, heads: Any = ()) -> Any:
    """Return the levels of both crops, of one pass that gives gradients to both."""
    if target_crops is None:
        return self.features(crops)
    both = self.described(torch.cat([crops, target_crops]), heads)
    return tuple(tuple(level[half] for level in both) for half in (slice(len(crops)), slice(len(crops), None)))


#: What was otherwise at first, and by what it is replaced.
EARLIER: Mapping[str, list[tuple[Any, str, Any]]] = {
    "norm and SiLU": [(module, "norm_silu", two_steps) for module in (blocks, encoder, decoder)],
    "attention": [(blocks.AttentionBlock, "forward", written_out)],
    "targets": [(FeatureBackbone, "forward", with_gradients)],
}


@contextmanager
def as_at_first(*names: str) -> Iterator[None]:
    """Take parts of the step as they were at first."""
    with ExitStack() as stack:
        for target, name, other in (change for part in names for change in EARLIER[part]):
            stack.enter_context(patch.object(target, name, other))
        yield


def steps(preset: str, size: int, images: int, bf16: bool) -> dict[str, Callable[[], object]]:
    """Return the step in its variants, by name; all of them train one model."""

    setting = type("Sized", (Setting,), {"preset": preset, "size": size})("cpu", print)
    state = begun(setting, Variant("now", CHOSEN), images)
    state.bf16 = bf16
    batches = cycle(drawn(setting, images))

    def step(*earlier: str) -> object:
        with as_at_first(*earlier):
            return train_step(state, batches, False)

    alone = {f"{name} as at first": lambda name=name: step(name) for name in EARLIER}
    return {"as it is": step, **alone, "all as at first": lambda: step(*EARLIER)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="miniature")
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    candidates = steps(options.preset, options.size, options.images, options.bf16)
    seconds = measure(candidates, options.rounds, "cpu", time.process_time)
    now = statistics.median(seconds["as it is"])
    what = f"{options.preset}, {options.images} images of {options.size} px, {'bf16' if options.bf16 else 'fp32'}"
    print(f"{what}: {now:.2f} s of processor time a step")
    for name, found in seconds.items():
        ratios = [one / other for one, other in zip(found, seconds["as it is"], strict=True)]
        print(f"  {name:28s} {statistics.median(found) / now:.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
