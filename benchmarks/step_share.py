"""What region terms cost in a training step: measured on a small tokenizer, counted for the paper's.

    python -m benchmarks.step_share [--images 16] [--size 64] [--threads 2] [--rounds 5]

Measured: forward and backward of the `miniature` tokenizer with l1 and commitment, without and with the text and face
terms, 2 texts and 1 face an image. Counted (InsightTok, Table 11; 2 x MAC, forward, one 256 px image): the 426M
autoencoder against the packaged terms' networks on reconstruction and target.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from torch.utils.flop_counter import FlopCounterMode

import regionloss as rl
from benchmarks.region_terms import inputs, measure
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer


def gflops(work) -> float:
    """Return the billions of operations that `work()` takes."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return counter.get_total_flops() / 1e9


def measured(options: argparse.Namespace, terms: rl.LossTerms) -> None:
    model = InsightTokenizer.from_preset("miniature")
    _, target, regions = inputs(options.images, options.size, "cpu")

    def step(with_terms: bool) -> torch.Tensor:
        reconstruction, commit, _ = model(target)
        loss = (reconstruction - target).abs().mean() + commit
        if with_terms:
            loss = loss + terms(reconstruction, target, regions).total
        loss.backward()
        model.zero_grad(set_to_none=True)
        model.quantize.update()
        return loss.detach()

    seconds = measure({"without": lambda: step(False), "with": lambda: step(True)}, options.rounds, "cpu")
    without, both = (statistics.median(seconds[name]) for name in ("without", "with"))
    print(
        f"miniature, {options.images} images of {options.size} px: {without * 1e3:.0f} ms a step without terms, ",
        end="",
    )
    print(f"{both * 1e3:.0f} ms with: the terms take {100 * (both - without) / both:.0f}% of it")


def counted(terms: rl.LossTerms) -> None:
    with torch.device("meta"):
        autoencoder = InsightTokenizer.from_preset("insighttok-426m").eval()
    base = gflops(lambda: autoencoder(torch.zeros(1, 3, 256, 256, device="meta")))
    reconstruction, target, regions = inputs(1, 256, "cpu")
    print(f"426M autoencoder: {base:.0f} GFLOP an image")
    for name in ("text", "face"):
        loss = terms[name].loss
        crops = loss.extractor(target, regions[name])
        one = gflops(lambda loss=loss, crops=crops: loss.backbone(crops))
        cut = gflops(lambda loss=loss, name=name: loss.extractor(reconstruction, regions[name]))
        print(
            f"  {name}: network {one:.2f} GFLOP, crops {cut:.3f}: {100 * (one + cut) / base:.2f}% of the autoencoder's"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    terms = rl.LossTerms.from_names({"text": 0.0025, "face": 0.02})
    measured(options, terms)
    counted(terms)


if __name__ == "__main__":
    main()
