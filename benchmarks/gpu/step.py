"""The trainer's own step without region terms, in the variants that a recipe can choose."""

from __future__ import annotations

import gc
import time
import warnings
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.gpu.setting import Row, Setting
from benchmarks.region_terms import inputs
from insighttok_ref.objective.adversarial import AdversarialOptions, Adversary
from insighttok_ref.objective.objective import Objective, ObjectiveOptions
from insighttok_ref.objective.perceptual import PerceptualLoss, PerceptualOptions, build_perceptual
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from insighttok_ref.trainers.tokenizer.acceleration import accelerate
from insighttok_ref.trainers.tokenizer.loop import PartState, train_step
from insighttok_ref.trainers.tokenizer.options import EngineOptions, Phase
from insighttok_ref.trainers.tokenizer.plan import Part
from insighttok_ref.training.device_batches import on_device
from insighttok_ref.training.engines import OptimizerOptions, PlainEngine
from insighttok_ref.training.stop import FiniteWatch
from regionloss.backbones.lpips import LPIPSFeatures
from regionloss.backbones.lpips_trunks import TorchvisionTrunk, vgg
from regionloss.data.batches import Batch, Share
from regionloss.errors import WeightsError

SEVERAL = 2  # steps before those that are timed


class Variant(NamedTuple):
    """A way to take the step.

    Args:
        name: What the table calls it.
        options: Options of the engine.
        channels_last: Memory format of weights and activations.
        halved: Whether a micro-batch has half the images.
    """

    name: str
    options: EngineOptions
    channels_last: bool = False
    halved: bool = False


CHOSEN = EngineOptions()
COMPILED = EngineOptions(compile=True)
EAGER = (
    Variant("eager, cuDNN's first choice", EngineOptions(cudnn_benchmark=False)),
    Variant("eager", CHOSEN),
    Variant("eager, channels-last", CHOSEN, channels_last=True),
    Variant("eager, half the batch", CHOSEN, halved=True),
)
COMPILED_VARIANTS = (
    Variant("compiled", COMPILED),
    Variant("compiled, channels-last", COMPILED, channels_last=True),
    Variant("compiled, channels-last, half the batch", COMPILED, channels_last=True, halved=True),
)


def eager(setting: Setting) -> None:
    """Measure the step without a compiler."""
    measure_all(setting, EAGER)


def compiled(setting: Setting) -> None:
    """Measure the step with `torch.compile`."""
    measure_all(setting, COMPILED_VARIANTS)


def measure_all(setting: Setting, variants: tuple[Variant, ...]) -> None:
    """Measure variants one after another; one that fails leaves the others."""
    for variant in variants:
        try:
            setting.write(measured(setting, variant))
        except Exception as error:  # whatever it is, it stands in the table
            setting.write({"name": variant.name, "error": f"{type(error).__name__}: {str(error)[:300]}"})
        torch.compiler.reset()
        gc.collect()
        if not setting.small:
            torch.cuda.empty_cache()


def measured(setting: Setting, variant: Variant) -> Row:
    """Return milliseconds, rates, memory, and the lines that wait for the device."""
    batch = setting.batch // 2 if variant.halved else setting.batch
    state = begun(setting, variant, batch)
    batches = on_device(cycle(drawn(setting, batch)), torch.device(setting.device))

    def step() -> None:
        train_step(state, batches, False)

    start = time.perf_counter()
    for _ in range(SEVERAL):
        step()
    setting.wait()
    first = time.perf_counter() - start
    if not setting.small:
        torch.cuda.reset_peak_memory_stats()
    whole, host = setting.timed(step, setting.rounds(8))
    return {
        "name": variant.name,
        "batch": batch,
        "ms": whole,
        "host_ms": host,
        "images_s": 1e3 * batch / whole,
        "tflops": 1e3 * setting.step_tflop(batch) / whole,
        "peak_gib": None if setting.small else torch.cuda.max_memory_allocated() / 2**30,
        "first_steps_s": first,
        "waits": None if setting.small else lines_that_wait(step),
    }


def begun(setting: Setting, variant: Variant, batch: int) -> PartState:
    """Return a part of a training in bf16 that is about to begin, with every loss but the region terms."""
    torch.manual_seed(0)
    device = torch.device(setting.device)
    with device:
        model = InsightTokenizer.from_preset(setting.preset, channels_last=variant.channels_last).train()
        adversary = Adversary(AdversarialOptions())
    options = ObjectiveOptions(perceptual=PerceptualOptions(), adversarial=AdversarialOptions())
    phase = Phase(name="step", steps=2**30, batch_size=batch, lr=1e-30)
    state = PartState(
        Part("step", phase, (), "", 0, 0, 0),
        Share(batch),
        model,
        PlainEngine(model, OptimizerOptions()),
        Objective(options, perceptual=perceptual(), adversary=adversary),
        FiniteWatch(device, lambda: "Nothing is learnt here."),
        adversary_engine=PlainEngine(adversary, OptimizerOptions()),
        bf16=True,
    )
    accelerate(state, variant.options, setting.backend)
    return state


def perceptual() -> PerceptualLoss:
    """Return LPIPS; with random weights, which take the same time, where its own are not here."""
    try:
        return build_perceptual("lpips-vgg")
    except WeightsError:
        levels = vgg()
        layers = enumerate(layer for level in levels for layer in level)
        trunk = {f"features.{n}.{name}": value for n, layer in layers for name, value in layer.state_dict().items()}
        heads = {f"lin{n}.model.1.weight": torch.rand(1, c, 1, 1) for n, c in enumerate((64, 128, 256, 512, 512))}
        return PerceptualLoss(LPIPSFeatures(TorchvisionTrunk("vgg", trunk, heads)))


def drawn(setting: Setting, batch: int) -> list[Batch]:
    """Return two batches as a loader gives them, in the host's memory, with regions."""
    _, images, regions = inputs(batch, setting.size, "cpu")
    pixels = ((images + 1) * 127.5).round().clamp(0, 255).byte()
    return [Batch(pixels, regions), Batch(pixels.flip(3), regions)]


def lines_that_wait(step: object) -> list[str]:
    """Return the lines of a step at which the host waits for the device."""
    assert callable(step)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sorted({f"{Path(w.filename).name}:{w.lineno}" for w in caught if "synchroniz" in str(w.message)})
