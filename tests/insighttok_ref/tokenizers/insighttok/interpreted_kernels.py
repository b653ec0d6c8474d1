"""What kernels of GPUs make of an example on a CPU, run under TRITON_INTERPRET=1: `interpreted_kernels.py FILE`."""

from __future__ import annotations

import sys

import torch
from torch import Tensor

GROUPS, EPS = 4, 1e-6
#: Means of the activations, whose deviation is 3, and values that a program has in work at once.
MEANS, BLOCKS = (1.0, 100.0), (16, 4096)


def example(mean: float, side: int = 9) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return activations, weights of which one is 0, and a gradient."""
    torch.manual_seed(0)
    x, gradient = (torch.randn(2, 8, side, 7) for _ in range(2))
    weight, bias = torch.randn(8), torch.randn(8)
    weight[1] = 0
    return (3 * x + mean).bfloat16(), weight, bias, gradient.bfloat16()


def main() -> None:
    from insighttok_ref.tokenizers.insighttok import norm_silu_kernels as kernels

    found: dict[tuple[float, int], tuple[Tensor, ...]] = {}
    for mean in MEANS:
        for kernels.BLOCK in BLOCKS:
            x, weight, bias, gradient = example(mean)
            made, means, scales = kernels.forward(x, weight, bias, GROUPS, EPS)
            own = kernels.backward(gradient, x, weight, bias, means, scales)
            found[mean, kernels.BLOCK] = (means, scales, made, *own)
    torch.save(found, sys.argv[1])


if __name__ == "__main__":
    main()
