"""Region terms: their share of the paper's step, and beside the loop that a user would write."""

from __future__ import annotations

import statistics
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

import regionloss as rl
from benchmarks import region_terms, table12
from benchmarks.gpu.setting import Setting
from benchmarks.region_terms import Step
from regionloss.errors import RegionLossError, WeightsError

ROUNDS = 5


def table_12(setting: Setting) -> None:
    """Measure the paper's Table 12: 426M, 256 px, batch 16, 1 face and 2 texts in each image."""
    options = Namespace(
        device=setting.device,
        bf16=True,
        preset=setting.preset,
        checkpointing=False,
        batch=setting.batch,
        size=setting.size,
    )
    terms, networks = random_terms()
    setting.write({"name": "recognisers", "weights": f"random, {networks}"})
    found = table12.measure(table12.Training(options, terms), setting.rounds(ROUNDS))
    for kind, numbers in found.items():
        parts = {part: 1e3 * numbers.get(part, 0.0) for part in (*table12.PARTS, "total")}
        setting.write({"name": kind, **parts, "memory": numbers["memory"]})
        setting.write(
            {"name": f"{kind}, the paper's", **dict(zip((*parts, "memory"), table12.PAPER[kind], strict=True))}
        )
    vanilla, ours = found["vanilla"], found["with terms"]
    shares = {f"percent_of_{what}": 100 * (ours[what] / vanilla[what] - 1) for what in ("total", "memory")}
    setting.write({"name": "the terms cost", **shares})


def beside_the_loop(setting: Setting) -> None:
    """Measure each term, its network alone, and the loop; in float32 and in bf16."""
    data = region_terms.inputs(setting.batch, setting.size, setting.device)
    try:
        terms, weights = rl.LossTerms.from_names({"text": 0.0025, "face": 0.02}), "packaged"
    except WeightsError:
        terms, networks = random_terms()
        weights = f"random, {networks}"
    for name in ("text", "face"):
        work = region_terms.steps(terms, name, data)
        backbone = terms[name].loss.backbone
        ours = work["ours"]
        work["in one call"] = partial(in_one_call, backbone, ours)
        work["in bf16"] = partial(in_bf16, setting.device, ours)
        values = {what: float(work[what]()) for what in ("ours", "loop", "in one call", "in bf16")}
        measured = region_terms.measure(work, setting.rounds(ROUNDS), setting.device)
        spent = {what: 1e3 * statistics.median(seconds) for what, seconds in measured.items()}
        setting.write(
            {
                "name": name,
                "weights": weights,
                **{f"{what.replace(' ', '_')}_ms": took for what, took in spent.items()},
                "loop_by_ours": spent["loop"] / spent["ours"],
                **{f"{what.replace(' ', '_')}_differs": off(values, what) for what in values if what != "ours"},
            }
        )


def random_terms() -> tuple[rl.LossTerms, str]:
    """Return the paper's terms with random weights; where MMOCR is not here, the network of faces reads texts, too."""
    try:
        return table12.paper_terms(), "iresnet50 and ABINet"
    except (RegionLossError, ImportError):
        from regionloss_face.iresnet import ARCFACE_INPUT, IResNet

        spec = replace(ARCFACE_INPUT, size=(32, 128))
        return table12.paper_terms(rl.FeatureBackbone(IResNet(), spec, channels_last=True)), "iresnet50 for both"


def off(values: dict[str, float], what: str) -> float:
    """Return by which share of our value another differs."""
    return abs(values[what] / values["ours"] - 1) if values["ours"] else float("nan")


def in_bf16(device: str, step: Step) -> Tensor:
    """Take a step under autocast."""
    with torch.autocast(device, torch.bfloat16):
        return step()


def in_one_call(backbone: Any, step: Step) -> Tensor:
    """Take a step in which a network sees reconstruction and target at once: half the launches, more arithmetic."""

    def together(crops: Tensor, targets: Tensor, heads: tuple[str, ...] = ()) -> tuple[tuple[Tensor, ...], ...]:
        both = backbone.described(torch.cat([crops, targets]), heads)
        return tuple(level[: len(crops)] for level in both), tuple(level[len(crops) :].detach() for level in both)

    before: Callable[..., Any] = backbone.forward
    backbone.forward = together
    try:
        return step()
    finally:
        backbone.forward = before
