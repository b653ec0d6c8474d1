"""DeepSpeed's own options beside what a recipe decides: what is taken, and what contradicts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regionloss.errors import InputError, expected

#: Where a recipe says what DeepSpeed has words for, too.
SAID = {
    "train_batch_size": "a phase's batch_size",
    "train_micro_batch_size_per_gpu": "engine.micro_batch",
    "gradient_accumulation_steps": "a phase's batch_size and engine.micro_batch",
    "gradient_clipping": "optimizer.clip",
    "zero_optimization.stage": "engine.zero_stage",
    **{f"{name}.enabled": "engine.precision" for name in ("bf16", "fp16", "torch_autocast")},
    "zero_optimization.offload_optimizer.device": "engine.offload_optimizer",
}
#: Options that are none here, and why.
REFUSED = {
    "optimizer": "The recipe's optimizer says it.",
    "scheduler": "The recipe's phases say it, with lr and warmup.",
    "zero_optimization.mics_shard_size": "A checkpoint holds weights that all processes share.",
    "tensor_parallel": "Processes share batches here, not layers.",
    "sequence_parallel_size": "Processes share batches here, not sequences.",
}


def merged(ours: Mapping[str, Any], theirs: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return what DeepSpeed is told: what the recipe decides, and a user's own options.

    Args:
        ours: What the recipe decides.
        theirs: Options of the same form; those that are "auto" count as not said.
        above: The options that hold these, for sentences.

    Raises:
        InputError: An option that contradicts the recipe, or that is none here.
    """
    found = dict(ours)
    for name, value in theirs.items():
        key = f"{above}{name}"
        if value == "auto":
            continue
        if key in REFUSED or value == "nvme":
            advice = REFUSED.get(key, "A checkpoint could not hold what lies there: say 'cpu'.")
            raise InputError(expected(f"engine.options.{key}", "no such option", f"{value!r}", advice))
        before = found.get(name, {} if isinstance(value, Mapping) else value)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            found[name] = merged(before, value, f"{key}.")
        elif before != value:
            wanted = f"{before!r}, as {SAID.get(key, 'the trainer')} has it"
            raise InputError(expected(f"engine.options.{key}", wanted, f"{value!r}", "Change it there alone."))
        else:
            found[name] = value
    return found
