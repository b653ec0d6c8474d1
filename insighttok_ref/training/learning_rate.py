"""Learning rates as a pure function of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math


def cosine(step: int, steps: int, warmup: float = 0.05) -> float:
    """Return the factor of the learning rate at `step` (from 0) of a phase of `steps`.

    It rises linearly over the first `warmup * steps` steps, then falls to zero along half a cosine.
    """
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 + 0.5 * math.cos(math.pi * (step - rising) / max(1, steps - rising))


def constant(step: int, steps: int, warmup: float = 0.0) -> float:
    """Return the factor of the learning rate at `step` (from 0) of a phase of `steps`.

    It rises linearly over the first `warmup * steps` steps, and stays.
    """
    return min(1.0, (step + 1) / max(1, round(warmup * steps)))
