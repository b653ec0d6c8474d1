"""The EMA quantiser against a plain restatement of the published one-hot formulation: time, peak memory, result.

    python -m benchmarks.quantizer [--device cuda] [--tokens 4096] [--codes 16384] [--threads 1] [--rounds 5]

One round is a training forward, backward of the commitment, the update with random restart, and the log's numbers. The
restatement holds the matrices of distances and of one-hot codes, as the published code does, and copies nothing else.
Time: medians of alternating rounds in one process. Memory: peak over one round above what was held before it, each side
in a process of its own on a CPU. Both sides draw the same random numbers, and must give the same ids and codebook.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.region_terms import measure
from insighttok_ref.quantizers.ema import USAGE_WINDOW, EMAQuantizer

BETA, DECAY, THRESHOLD = 0.02, 0.99, 1.0
SAME = 1e-5
GOAL = {"time": 0.5, "memory": 0.25}


class Drawn:
    """The random numbers of a restart, from a seed: the same for both sides."""

    cluster_size: Tensor
    code_dim: int

    def draw_permutation(self, count: int) -> Tensor:
        """Draw an order of `count` tokens."""
        return torch.randperm(count, generator=self._seeded(0), device=self.cluster_size.device)

    def draw_noise(self) -> Tensor:
        """Draw standard normal noise (K, d)."""
        device = self.cluster_size.device
        return torch.randn(len(self.cluster_size), self.code_dim, generator=self._seeded(1), device=device)

    def _seeded(self, seed: int) -> torch.Generator:
        return torch.Generator(self.cluster_size.device).manual_seed(seed)


class Ours(Drawn, EMAQuantizer):
    """The quantiser with its published options."""

    def __init__(self, codes: int, dim: int) -> None:
        super().__init__(codes, dim, beta=BETA, decay=DECAY, restart_threshold=THRESHOLD)


class OneHot(Drawn, nn.Module):
    """The published formulation: all distances at once, sums by a product with one-hot codes."""

    def __init__(self, codes: int, dim: int) -> None:
        super().__init__()
        self.code_dim = dim
        weight = F.normalize(torch.empty(codes, dim).uniform_(-1 / codes, 1 / codes), dim=1)
        self.register_buffer("weight", weight)
        self.register_buffer("embed_avg", weight.clone())
        self.register_buffer("cluster_size", torch.ones(codes))
        self.register_buffer("codebook_used", torch.zeros(USAGE_WINDOW))

    @property
    def codebook(self) -> Tensor:
        """The unit codes (K, d)."""
        return F.normalize(self.weight, dim=1)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (z_q, commitment, ids) and keep the sums by code."""
        batch, dim, height, width = z.shape
        flat = F.normalize(z.permute(0, 2, 3, 1).reshape(-1, dim), dim=1)
        codes = self.codebook
        distances = flat.square().sum(1, keepdim=True) + codes.square().sum(1) - 2 * flat.detach() @ codes.t()
        ids = distances.argmin(1)
        one_hot = torch.zeros(len(flat), len(codes), device=z.device).scatter_(1, ids[:, None], 1.0)
        self.tokens, self.sums, self.counts = flat.detach(), one_hot.t() @ flat.detach(), one_hot.sum(0)
        p = one_hot.mean(0)
        self.perplexity = (-(p * (p + 1e-7).log()).sum()).exp()
        self.codebook_used = torch.cat([self.codebook_used[len(ids) :], ids[-USAGE_WINDOW:].float()])
        self.usage = len(self.codebook_used.unique()) / len(codes)
        chosen = codes[ids]
        loss = BETA * (chosen - flat).square().mean()
        z_q = (flat + (chosen - flat).detach()).view(batch, height, width, dim).permute(0, 3, 1, 2)
        return z_q, loss, ids.view(batch, -1)

    @torch.no_grad()
    def update(self) -> None:
        """Move the codes; dead ones become tokens."""
        self.cluster_size.mul_(DECAY).add_(self.counts, alpha=1 - DECAY)
        self.embed_avg.mul_(DECAY).add_(self.sums, alpha=1 - DECAY)
        codes, pool = self.embed_avg / self.cluster_size[:, None], self.tokens
        tiles = math.ceil(len(codes) / len(pool))
        drawn = pool.repeat(tiles, 1)[self.draw_permutation(tiles * len(pool))][: len(codes)]
        if tiles > 1:
            drawn = drawn + self.draw_noise() * (0.01 / math.sqrt(self.code_dim))
        dead = (self.cluster_size < THRESHOLD)[:, None]
        self.weight.copy_(F.normalize(torch.where(dead, drawn, codes), dim=1))

    def stats(self) -> dict[str, Tensor]:
        """Return what the forward has measured."""
        return {"perplexity": self.perplexity, "usage": torch.as_tensor(self.usage)}


SIDES = {"ours": Ours, "one-hot": OneHot}


def latents(options: argparse.Namespace, seed: int = 0) -> Tensor:
    """Return random latents (1, d, 16, n / 16)."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(1, options.dim, 16, options.tokens // 16, generator=generator)
    return z.to(options.device).requires_grad_()


def build(side: str, options: argparse.Namespace) -> nn.Module:
    """Return a new quantiser; the codes are the same for both sides."""
    torch.manual_seed(0)
    return SIDES[side](options.codes, options.dim).to(options.device)


def one_round(quantizer: nn.Module, z: Tensor) -> Tensor:
    """Do what a training step asks of a quantiser; return the ids."""
    z_q, loss, ids = quantizer(z)
    torch.autograd.grad(z_q.mean() + loss, z)
    quantizer.update()
    quantizer.stats()
    return ids


def peak_mebibytes(side: str, options: argparse.Namespace) -> float:
    """Return the memory that one round takes above what was held before it; call it once in a process on a CPU."""
    quantizer, z = build(side, options), latents(options)
    if options.device != "cpu":
        one_round(quantizer, z)
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        one_round(quantizer, z)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    # What the libraries themselves take at their first call is not the quantiser's.
    one_round(SIDES[side](16, options.dim), torch.randn(1, options.dim, 4, 4, requires_grad=True))
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is held
    before = held_at_most()
    one_round(quantizer, z)
    return held_at_most() - before


def held_at_most() -> float:
    """Return this process's peak memory in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10


def peak_apart(side: str) -> float:
    """Return `peak_mebibytes` of a fresh process with this one's options."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.quantizer", *sys.argv[1:], "--peak", side]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(options: argparse.Namespace) -> dict[str, float]:
    """Return the largest differences after one round, and in the next forward on other latents.

    Restarted codes are copies of tokens with a little noise: in the next forward two of them can be so close to a
    token that float32 does not tell them apart. What counts there is how much farther our choice is, in float64.
    """
    ours, plain = (build(side, options) for side in SIDES)
    first = [one_round(quantizer, latents(options)) for quantizer in (ours, plain)]
    found = {
        name: float((a - b).abs().max())
        for name, a, b in (
            ("ids", *first),
            ("codebook", ours.codebook, plain.codebook),
            ("sums", ours.embed_avg, plain.embed_avg),
            ("counts", ours.cluster_size, plain.cluster_size),
        )
    }
    with torch.no_grad():
        z = latents(options, seed=1)
        tokens = F.normalize(z.permute(0, 2, 3, 1).reshape(-1, options.dim).double(), dim=1)
        codes = plain.codebook.double()
        mine, theirs = ((codes[quantizer(z)[2].flatten()] - tokens).square().sum(1) for quantizer in (ours, plain))
    return {**found, "next distances": float((mine - theirs).abs().max())}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tokens", type=int, default=4096, help="a multiple of 16")
    parser.add_argument("--codes", type=int, default=16384)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak", choices=SIDES, help="print the peak memory of one side in MiB and stop")
    return parser.parse_args()


def main() -> None:
    options = parse()
    warnings.filterwarnings("ignore", message="quantizer: .* tokens per code and update")
    torch.set_num_threads(options.threads)
    if options.peak:
        print(peak_mebibytes(options.peak, options))
        return
    print(
        f"{options.tokens} tokens x {options.codes} codes x {options.dim}, {options.device}, {options.threads} threads"
    )
    differences = compare(options)
    print("largest differences: " + ", ".join(f"{name} {value:.1e}" for name, value in differences.items()))
    if max(differences.values()) > SAME:
        raise SystemExit(f"the two sides do not agree to {SAME}")
    z = latents(options)
    rounds = {side: partial(one_round, build(side, options), z) for side in SIDES}
    seconds = {side: statistics.median(s) for side, s in measure(rounds, options.rounds, options.device).items()}
    memory = {side: peak_apart(side) for side in SIDES}
    for side in SIDES:
        print(f"  {side:8} {seconds[side] * 1e3:9.1f} ms   {memory[side]:8.1f} MiB")
    for name, found in (("time", seconds), ("memory", memory)):
        print(f"{name}: ours / one-hot = {found['ours'] / found['one-hot']:.3f} (goal: at most {GOAL[name]})")


if __name__ == "__main__":
    main()
