"""How fast a training is assumed to go, and how long it then takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from regionloss.errors import InputError, did_you_mean, expected

if TYPE_CHECKING:
    from regionloss.recipe import PhaseNeeds

#: Dense peak of matrix products in bf16, TFLOP/s, as the maker states it; float32 (TF32) has half of it.
CARDS = {"A100": 312.0, "L40S": 362.0, "H100": 989.0, "H200": 989.0, "B200": 2250.0}
DAY = 86400


@dataclass(frozen=True)
class Pace:
    """How fast it is assumed to go, and why.

    Args:
        told: Where that is from, in words.
        images: Images a second of all GPUs, where that is known.
        operations: Operations a second of one GPU, in 16 bits.
        known: Whether a rate was measured, whatever the precision.
    """

    told: str
    images: float | None = None
    operations: float = 0.0
    known: bool = True

    @classmethod
    def of(cls, card: str, utilisation: float, tflops: float | None, images: float | None) -> Pace:
        """Return the pace that options ask for; raises InputError for what is no pace."""
        for name, value in (("--tflops", tflops), ("--images-per-second", images), ("--utilisation", utilisation)):
            if value is not None and not 0 < value < float("inf"):
                raise InputError(expected(name, "a number above 0", f"{value:g}"))
        if utilisation > 1:
            raise InputError(expected("--utilisation", "a share, at most 1", f"{utilisation:g}", "0.4 is 40%."))
        peaks = {name.lower(): (name, peak) for name, peak in CARDS.items()}
        if card.lower() not in peaks:
            raise InputError(f"--card: no card is named '{card}'. {did_you_mean(card, CARDS)}")
        if images is not None:
            return cls(f"{images:g} images a second, as given", images)
        if tflops is not None:
            return cls(f"{tflops:g} TFLOP/s on each GPU, as given", operations=tflops * 1e12)
        name, peak = peaks[card.lower()]
        told = f"{utilisation:.0%} of the peak of {name} ({{peak:g}} TFLOP/s), which is an assumption"
        return cls(told, operations=peak * utilisation * 1e12, known=False)

    def seconds(self, phase: PhaseNeeds, gpus: int, bf16: bool) -> float:
        """Return how long a phase takes."""
        images = phase.steps * phase.batch_size
        if self.images is not None:
            return images / self.images
        return images * phase.operations / (self.operations * gpus * (1 if bf16 or self.known else 0.5))

    def reason(self, bf16: bool) -> str:
        """Return where it is from, in words."""
        peak = next((value for name, value in CARDS.items() if f"of {name} " in self.told), 0.0)
        return self.told.format(peak=peak if bf16 else peak / 2)


def spell(seconds: float) -> str:
    """Return a duration in the largest unit of which there are two."""
    units = (("days", DAY), ("hours", 3600), ("minutes", 60))
    name, unit = next(((name, unit) for name, unit in units if seconds >= 2 * unit), ("seconds", 1))
    return f"{seconds / unit:.1f} {name}"
