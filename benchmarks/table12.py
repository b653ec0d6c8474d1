"""The paper's Table 12 from our code: a training step with and without region terms, by part, with memory.

    python -m benchmarks.table12 --device cuda                       # the paper's setting: 426M, 256 px, batch 16
    python -m benchmarks.table12 --preset insighttok-111m --bf16 --device cuda
    python -m benchmarks.table12                                     # on a CPU, reduced: miniature, 48 px, batch 2

A step is the tokenizer's and the discriminator's forward and backward, both optimizer steps and the codebook's update,
with 1 face and 2 texts in every image. `discriminator` is all its passes, `backward` the optimizers and codebook too;
the rate is 0, so that random recognisers do no harm. Parts are timed in steps of their own, where the device is waited
for; totals in steps where it is not. Steps without and with the terms take turns in one process; medians are printed.
LPIPS is not part of it: both kinds of step would have the same, and its weights need not be here. The terms are the
paper's networks, iresnet50 and ABINet (ResNet stages; needs MMOCR), with random weights, which take the same time as
trained ones; `--terms packaged` takes those whose weights ship in packages.
Memory is the device's peak over a step; on a CPU it is not measured.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

import regionloss as rl
from benchmarks.region_terms import inputs
from insighttok_ref.objective.adversarial import AdversarialOptions, Adversary
from insighttok_ref.objective.objective import Objective, ObjectiveOptions
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer

PARTS = ("autoencoder", "warping", "face model", "text model", "discriminator", "backward")
PAPER = {
    "vanilla": (581.42, None, None, None, 4.61, 1470.27, 2056.3, 44066),
    "with terms": (578.56, 3.19, 14.86, 21.59, 4.37, 1476.93, 2099.5, 44333),
}
GOAL = "goal on an accelerator: at most 2.0% of the step and 1% of memory; the paper: 2.1% and 0.6%"


class Clock:
    """Seconds by part; the device is waited for only where `exact`, as parts cannot be told apart otherwise."""

    def __init__(self, device: str) -> None:
        self.device, self.exact = device, False
        self.seconds: dict[str, float] = {}

    def now(self) -> float:
        """Return the time once the device is done."""
        if self.device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add what happens inside to a part."""
        if not self.exact:
            yield
            return
        start = self.now()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + self.now() - start

    def around(self, work: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return a function that counts its calls as a part."""

        def timed(*args: Any, **options: Any) -> Any:
            with self.part(name):
                return work(*args, **options)

        return timed

    def watch(self, module: nn.Module, name: str) -> None:
        """Count a module's forward as a part."""
        module.forward = self.around(module.forward, name)  # type: ignore[method-assign]


def abinet() -> rl.FeatureBackbone:
    """Return ABINet's ResNet stages with random weights; needs MMOCR."""
    from regionloss_text.mmocr.abinet import CONFIG, build_levels
    from regionloss_text.mmocr.configs import input_spec, read_config

    config = read_config(CONFIG, "benchmarks.table12")
    text_spec = input_spec(config.model.data_preprocessor, size=(32, 128))
    return rl.FeatureBackbone(build_levels(config.model, "resnet"), text_spec, channels_last=True)


def paper_terms(text: rl.FeatureBackbone | None = None) -> rl.LossTerms:
    """Return the paper's terms with random weights, or with another network for texts."""
    from regionloss_face.alignment import ARCFACE_TEMPLATE
    from regionloss_face.iresnet import ARCFACE_INPUT, IResNet

    text = abinet() if text is None else text
    face = rl.FeatureBackbone(IResNet(), ARCFACE_INPUT, channels_last=True)
    aligned = rl.AlignedExtractor(template=ARCFACE_TEMPLATE, size=(112, 112), padding="black")
    return rl.LossTerms(
        {
            "text": rl.Term(rl.RegionPerceptualLoss(rl.ResizeExtractor(size=(32, 128)), text), "text"),
            "face": rl.Term(rl.RegionPerceptualLoss(aligned, face), "face"),
        }
    )


class Training:
    """A tokenizer and its adversary, stepped with or without terms."""

    def __init__(self, options: argparse.Namespace, terms: rl.LossTerms | None = None) -> None:
        torch.manual_seed(0)
        self.device, self.bf16 = options.device, options.bf16
        self.clock = Clock(self.device)
        self.model = InsightTokenizer.from_preset(options.preset, checkpointing=options.checkpointing)
        self.model.to(self.device).train()
        adversarial = AdversarialOptions()
        self.adversary = Adversary(adversarial).to(self.device)
        if terms is None:
            packaged = {"text": 0.0025, "face": 0.02}
            terms = paper_terms() if options.terms == "paper" else rl.LossTerms.from_names(packaged)
        self.terms = terms.to(self.device)
        both = ObjectiveOptions(adversarial=adversarial)
        self.objectives = {
            "vanilla": Objective(both, adversary=self.adversary),
            "with terms": Objective(both, self.terms, adversary=self.adversary),
        }
        fused = True if self.device != "cpu" else None
        self.optimizers = [
            torch.optim.AdamW(m.parameters(), 0.0, (0.5, 0.9), fused=fused) for m in (self.model, self.adversary)
        ]
        _, self.images, self.regions = inputs(options.batch, options.size, self.device)
        self.clock.watch(self.model, "autoencoder")
        self.clock.watch(self.adversary.discriminator, "discriminator")
        for name, term in self.terms.terms.items():
            term.loss.extractor = self.clock.around(term.loss.extractor, "warping")
            self.clock.watch(term.loss.backbone, f"{name} model")

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of every forward."""
        return torch.autocast(self.device, torch.bfloat16) if self.bf16 else nullcontext()

    def step(self, kind: str) -> None:
        """Train one step."""
        with self.autocast():
            output = self.model(self.images)
            output = output._replace(reconstruction=output.reconstruction.float())
            total = self.objectives[kind](output, self.images, self.regions, listening=True).total
        with self.clock.part("backward"):
            total.backward()
        with self.autocast():
            against = self.adversary.discriminator_loss(output.reconstruction, self.images).total
        with self.clock.part("backward"):
            against.backward()
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            self.model.quantize.update()


def measure(training: Training, rounds: int) -> dict[str, dict[str, float]]:
    """Return medians by kind of step: seconds of whole steps, of parts (in steps of their own), and peak MiB."""
    clock, found = training.clock, {kind: [] for kind in PAPER}  # type: dict[str, list[dict[str, float]]]
    for turn in range(rounds + 1):
        for kind in PAPER:
            clock.exact = False
            if training.device != "cpu":
                torch.cuda.reset_peak_memory_stats()
            total = timed(clock, lambda kind=kind: training.step(kind))
            memory = torch.cuda.max_memory_allocated() / 2**20 if training.device != "cpu" else float("nan")
            clock.exact, clock.seconds = True, {}
            training.step(kind)
            if turn:
                found[kind].append({**clock.seconds, "total": total, "memory": memory})
    return {
        kind: {name: statistics.median(step[name] for step in steps) for name in steps[0]}
        for kind, steps in found.items()
    }


def timed(clock: Clock, work: Callable[[], None]) -> float:
    """Return the seconds that `work()` takes."""
    start = clock.now()
    work()
    return clock.now() - start


def report(found: Mapping[str, Mapping[str, float]]) -> None:
    """Print the table, the overhead, and the paper's figures."""
    print("".join(f"{name:>14}" for name in ("", *PARTS, "total ms", "memory MiB")))
    for kind, paper in PAPER.items():
        ours = [1e3 * found[kind].get(name, float("nan")) for name in (*PARTS, "total")] + [found[kind]["memory"]]
        for label, row in ((kind, ours), ("  the paper's", paper)):
            cells = ("-" if value is None or value != value else f"{value:.1f}" for value in row)
            print(f"{label:>14}" + "".join(f"{cell:>14}" for cell in cells))
    vanilla, ours_ = found["vanilla"], found["with terms"]
    time_, memory = (100 * (ours_[name] / vanilla[name] - 1) for name in ("total", "memory"))
    shown = f"{memory:.2f}% of memory" if memory == memory else "memory not measured on a CPU"
    print(f"overhead of the terms: {time_:.2f}% of the step, {shown} ({GOAL})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--preset", help="default: insighttok-426m on an accelerator, miniature on a CPU")
    parser.add_argument("--batch", type=int, help="images; default: 16 on an accelerator, 2 on a CPU")
    parser.add_argument("--size", type=int, help="pixels; default: 256 on an accelerator, 48 on a CPU")
    parser.add_argument("--terms", choices=("paper", "packaged"), default="paper")
    parser.add_argument("--bf16", action="store_true", help="compute under autocast")
    parser.add_argument("--checkpointing", action="store_true", help="recompute activations in backward")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, help="default: 10 on an accelerator, 3 on a CPU")
    options = parser.parse_args()
    cpu = options.device == "cpu"
    options.preset = options.preset or ("miniature" if cpu else "insighttok-426m")
    options.batch, options.size = options.batch or (2 if cpu else 16), options.size or (48 if cpu else 256)
    options.rounds = options.rounds or (3 if cpu else 10)
    torch.set_num_threads(options.threads)
    weights = "random weights in the recognisers" if options.terms == "paper" else "weights from packages"
    print(
        f"{options.preset}, {options.batch} images of {options.size} px, 1 face and 2 texts each, {options.device}, "
        f"{'bf16' if options.bf16 else 'float32'}, {weights}, no LPIPS, {options.rounds} rounds"
    )
    report(measure(Training(options), options.rounds))


if __name__ == "__main__":
    main()
