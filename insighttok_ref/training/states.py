"""Bytes that an engine keeps on each device: weights, gradients, the optimizer's state, and what it sends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torch import nn

from insighttok_ref.training.engines import BUCKET, ComputeOptions, OptimizerOptions, deepspeed_config
from regionloss.data.batches import Share
from regionloss.recipe import EngineNeeds

FLOAT, HALF = 4, 2
#: Adam's two moving averages, float32.
AVERAGES = 2 * FLOAT
#: DeepSpeed's own value, where a configuration says nothing.
GATHERED = 1_000_000_000
STAGES = (0, 1, 2, 3)
WEIGHTS, GRADIENTS, OPTIMIZER, COMMUNICATION = "weights", "gradients", "optimizer", "communication"


class Size(NamedTuple):
    """How many weights of a module learn, how many are frozen, and the bytes of its buffers."""

    learning: int
    frozen: int = 0
    buffers: int = 0

    @classmethod
    def of(cls, module: nn.Module) -> Size:
        """Return the size of a module, on any device."""
        learning = sum(one.numel() for one in module.parameters() if one.requires_grad)
        every = sum(one.numel() for one in module.parameters())
        return cls(learning, every - learning, sum(one.nbytes for one in module.buffers()))


def plain_states(size: Size, ranks: int, shard: bool = False) -> dict[str, int]:
    """Return the bytes of `PlainEngine` on each of so many ranks: all is float32, and at most the optimizer sharded."""
    return {
        WEIGHTS: FLOAT * (size.learning + size.frozen) + size.buffers,
        GRADIENTS: FLOAT * size.learning,
        OPTIMIZER: AVERAGES * size.learning // (ranks if shard else 1),
        COMMUNICATION: FLOAT * size.learning if ranks > 1 else 0,
    }


def deepspeed_states(size: Size, ranks: int, config: Mapping[str, Any]) -> dict[str, int]:
    """Return the bytes of DeepSpeed on each of so many ranks, by what its configuration says.

    Args:
        size: Size of the module.
        ranks: Number of ranks.
        config: The configuration: the stage, 16-bit weights, an optimizer that is offloaded, buckets.
    """
    zero = config["zero_optimization"]
    stage = zero["stage"]
    half = any(config.get(name, {}).get("enabled") for name in ("bf16", "fp16"))
    each = HALF if half else FLOAT
    share = [ranks if stage >= first else 1 for first in STAGES]  # by the stage at which something is sharded
    # Of 16-bit weights, and wherever states are sharded, the optimizer has a float32 copy of its own.
    copy = FLOAT if half or stage else 0
    offloaded = zero.get("offload_optimizer", {}).get("device", "none") not in ("none", None)
    every = size.learning + size.frozen
    sent = each * int(zero.get("reduce_bucket_size", BUCKET)) * (1 + bool(zero.get("overlap_comm"))) if stage else 0
    gathered = each * min(every, int(zero.get("stage3_max_live_parameters", GATHERED))) if stage == 3 else 0
    return {
        WEIGHTS: each * every // share[3] + size.buffers,
        GRADIENTS: each * size.learning // share[2],
        OPTIMIZER: 0 if offloaded else (copy + AVERAGES) * size.learning // share[1],
        COMMUNICATION: (sent + gathered) if ranks > 1 or stage == 3 else sent,
    }


def mixed_precision(ranks: int, stage: int, weights: int) -> int:
    """Return the bytes of weights that all learn in mixed precision, without buffers of communication.

    2 bytes of the weight, 2 of its gradient, 12 of the optimizer's float32 copy and averages; each is shared out among
    the ranks from a stage on.
    """
    config = {"zero_optimization": {"stage": stage}, "bf16": {"enabled": True}}
    states = deepspeed_states(Size(weights), ranks, config)
    return sum(states[name] for name in (WEIGHTS, GRADIENTS, OPTIMIZER))


class Player(NamedTuple):
    """A module with an engine of its own, and the ZeRO stage that a recipe gives it; None for that of the first one."""

    size: Size
    stage: int | None = None


def engine_needs(
    options: ComputeOptions,
    optimizer: OptimizerOptions,
    players: Iterable[Player],
    ranks: int,
    stages: Iterable[int],
    also: Mapping[str, int] | None = None,
) -> list[EngineNeeds]:
    """Return what a recipe's engine takes, and other stages of ZeRO; the recipe's own first.

    Args:
        options: The recipe's engine.
        optimizer: Optimizer of the recipe.
        players: What is trained, each by an engine of its own.
        ranks: Number of ranks.
        stages: Stages to compare.
        also: Further bytes by part, on each device, whatever the engine.
    """
    players, also = list(players), also or {}
    if options.name == "plain":
        return [_plain(shard, players, ranks, also) for shard in (options.shard_optimizer, not options.shard_optimizer)]
    ordered = dict.fromkeys([options.zero_stage, *stages])
    return [_deepspeed(options.model_copy(update={"zero_stage": s}), optimizer, players, ranks, also) for s in ordered]


def _plain(shard: bool, players: Iterable[Player], ranks: int, also: Mapping[str, int]) -> EngineNeeds:
    overrides = ("trainer.options.engine.name=plain", f"trainer.options.engine.shard_optimizer={str(shard).lower()}")
    states = added(*(plain_states(one.size, ranks, shard) for one in players), also)
    return EngineNeeds("plain, sharded optimizer" if shard else "plain", states, overrides)


def _deepspeed(
    options: ComputeOptions, optimizer: OptimizerOptions, players: Iterable[Player], ranks: int, also: Mapping[str, int]
) -> EngineNeeds:
    stage = options.zero_stage

    def config(micro_batch: int, accumulation: int, own: int = stage) -> dict[str, Any]:
        share = Share(micro_batch * accumulation * ranks, micro_batch, 0, ranks)
        return deepspeed_config(optimizer, share, own, options.settings)

    def states(player: Player) -> dict[str, int]:
        return deepspeed_states(player.size, ranks, config(1, 1, stage if player.stage is None else player.stage))

    overrides = ("trainer.options.engine.name=deepspeed", f"trainer.options.engine.zero_stage={stage}")
    return EngineNeeds(f"ZeRO {stage}", added(*map(states, players), also), overrides, lambda *cut: config(*cut))


def added(*parts: Mapping[str, int]) -> dict[str, int]:
    """Return the sums of bytes by part."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)
