"""What `wrap` must know of somebody else's loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..checks import range_of
from ..errors import InputError, expected

REDUCTIONS = ("mean", "sum_per_image")


@dataclass(frozen=True)
class Turn:
    """Whether a call of a host is the generator's turn: an argument has one of these values.

    Args:
        argument: Parameter of the host's `forward`.
        generator: Its values when the generator (not the discriminator) is trained.

    Example:
        >>> import regionloss as rl
        >>> rl.Turn("optimizer_idx", (0,))({"optimizer_idx": 1})
        False
    """

    argument: str
    generator: tuple[object, ...]

    def __call__(self, arguments: Mapping[str, Any]) -> bool:
        """Say so, from the arguments of a call by name."""
        return arguments[self.argument] in self.generator


@dataclass(frozen=True)
class HostSpec:
    """How to read an existing loss, the host: where its images are, whose turn it is, what it returns.

    Args:
        target: Parameter of the host's `forward` that holds the images, (B, 3, H, W).
        reconstruction: Parameter that holds their reconstructions; several names, or a parameter that holds several
            tensors, mean the average of their terms.
        is_generator: Says from the arguments by name whether the generator is trained; None where each call does.
        value_range: Range of the images.
        reduction: `"mean"` over pixels; or `"sum_per_image"`, where the host adds up an image's pixels and channels:
            the terms are then multiplied by C * H * W.
        log_prefix: Stands before the names of the terms' logs; takes arguments, as in `"{split}/"`.
        step: Parameter that holds the training step, for terms that start late; None where there is none.
        adaptive_weight: Method of the host whose first argument is the loss by which the discriminator's weight is set
            (`in_nll=True` puts the terms there); None where the host has no adaptive weight.
        loss: Position in the tuple, or key in the mapping, that `forward` returns; None for a tensor, the first of a
            tuple, or `"loss"`.
        parameters: First parameters of `forward`, by which `"auto"` knows the host; none for never.

    Raises:
        InputError: A range or a reduction that there is not.

    Example:
        >>> import regionloss as rl
        >>> rl.HostSpec("images", "decoded", value_range=(0, 1)).reduction
        'mean'
    """

    target: str
    reconstruction: str | tuple[str, ...]
    is_generator: Callable[[Mapping[str, Any]], bool] | None = None
    value_range: tuple[float, float] = (-1.0, 1.0)
    reduction: str = "mean"
    log_prefix: str = ""
    step: str | None = None
    adaptive_weight: str | None = "calculate_adaptive_weight"
    loss: int | str | None = None
    parameters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "value_range", range_of(self.value_range, "HostSpec.value_range"))
        if self.reduction not in REDUCTIONS:
            wanted = " or ".join(map(repr, REDUCTIONS))
            raise InputError(expected("HostSpec.reduction", wanted, repr(self.reduction)))

    @property
    def reconstructions(self) -> tuple[str, ...]:
        """The names of the parameters that hold reconstructions."""
        return (self.reconstruction,) if isinstance(self.reconstruction, str) else tuple(self.reconstruction)

    @property
    def needed(self) -> tuple[str, ...]:
        """Every parameter that is read, as far as it is known before a call."""
        turn = (self.is_generator.argument,) if isinstance(self.is_generator, Turn) else ()
        step = () if self.step is None else (self.step,)
        return (self.target, *self.reconstructions, *turn, *step)
