"""What `wrap` must know of somebody else's loss."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from string import Formatter
from typing import Any

from regionloss.checks import range_of
from regionloss.errors import InputError, did_you_mean, expected
from regionloss.hosts.methods import item_of

REDUCTIONS = ("mean", "sum_per_image")
STEP = re.compile(r"""\[(-?\d+)\]|\[['"]([^'"\[\]]+)['"]\]|\.([^\W\d]\w*)""")
PLACE = re.compile(rf"[^\W\d]\w*(?:{STEP.pattern})*")


@dataclass(frozen=True)
class Turn:
    """Whether a call of a host is the generator's turn: an argument has one of these values.

    Args:
        argument: Parameter of the host's `forward`.
        generator: Values of the argument when the generator (not the discriminator) is trained; one, or several in a
            tuple.

    Raises:
        InputError: No name, or no value.

    Example:
        >>> import regionloss as rl
        >>> rl.Turn("optimizer_idx", (0,))({"optimizer_idx": 1})
        False
    """

    argument: str
    generator: tuple[object, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "argument", name_of(self.argument, "Turn.argument"))
        value: Any = self.generator
        several = isinstance(value, Iterable) and not isinstance(value, str | bytes)
        object.__setattr__(self, "generator", tuple(value) if several else (value,))
        if not self.generator:
            advice = "For a host without turns leave HostSpec.is_generator away."
            raise InputError(expected("Turn.generator", "values of the generator's turn", "none", advice))

    def __call__(self, arguments: Mapping[str, Any]) -> bool:
        """Say so, from the arguments of a call by name."""
        return arguments[self.argument] in self.generator


@dataclass(frozen=True)
class HostSpec:
    """How to read an existing loss, the host: where its images are, whose turn it is, what it returns.

    Args:
        target: Parameter of the host's `forward` that holds the images, (B, 3, H, W); or (B, 3, T, H, W), which are
            read as the B T images of all frames.
        reconstruction: Parameter that holds their reconstructions; several names, or a parameter that holds several
            tensors, mean the average of their terms. Either may name an element of a parameter: `"outputs[0]"`,
            `"batch['image']"`, `"output.sample"`.
        is_generator: Says from the arguments by name whether the generator is trained; None where each call does.
        value_range: Range of the images.
        reduction: `"mean"` over pixels; or `"sum_per_image"`, where the host adds up an image's pixels and channels:
            the terms are then multiplied by C * H * W. A function of the host where its options decide.
        log_prefix: Stands before the names of the terms' logs; takes arguments, as in `"{split}/"`.
        step: Parameter that holds the training step, for terms that start late; None where there is none.
        adaptive_weight: Method of the host whose first argument is the loss by which the discriminator's weight is set
            (`in_nll=True` puts the terms there); None where the host has no adaptive weight.
        loss: Position in the tuple, or key in the mapping, that `forward` returns; None for a tensor, the first of a
            tuple, or `"loss"`.
        parameters: First parameters of `forward`, by which `"auto"` knows the host; none for never.

    Raises:
        InputError: A range or a reduction that there is not, what is no parameter's name, or a prefix that cannot be
            read.

    Example:
        >>> import regionloss as rl
        >>> rl.HostSpec("images", "decoded", value_range=(0, 1)).reduction
        'mean'
    """

    target: str
    reconstruction: str | tuple[str, ...]
    is_generator: Callable[[Mapping[str, Any]], bool] | None = None
    value_range: tuple[float, float] = (-1.0, 1.0)
    reduction: str | Callable[[Any], str] = "mean"
    log_prefix: str = ""
    step: str | None = None
    adaptive_weight: str | None = "calculate_adaptive_weight"
    loss: int | str | None = None
    parameters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "value_range", range_of(self.value_range, "HostSpec.value_range"))
        if not callable(self.reduction) and self.reduction not in REDUCTIONS:
            wanted = " or ".join(map(repr, REDUCTIONS))
            raise InputError(expected("HostSpec.reduction", wanted, repr(self.reduction)))
        if self.is_generator is not None and not callable(self.is_generator):
            advice = "For example regionloss.Turn('optimizer_idx', 0)."
            got = type(self.is_generator).__name__
            raise InputError(expected("HostSpec.is_generator", "a function of the arguments by name", got, advice))
        self._normalise()

    def _normalise(self) -> None:
        """Make names of what came as names, and see that the prefix can be read."""
        object.__setattr__(self, "target", place_of(self.target, "HostSpec.target"))
        given = self.reconstruction if isinstance(self.reconstruction, tuple | list) else (self.reconstruction,)
        names = tuple(place_of(name, "HostSpec.reconstruction") for name in given)
        if not names:
            raise InputError(expected("HostSpec.reconstruction", "a parameter's name", "none"))
        if self.target in names:
            raise InputError(
                expected("HostSpec.reconstruction", "another parameter than the target", f"'{self.target}'")
            )
        object.__setattr__(self, "reconstruction", names[0] if len(names) == 1 else names)
        object.__setattr__(self, "parameters", names_of(self.parameters, "HostSpec.parameters"))
        for name in ("step", "adaptive_weight"):
            if (value := getattr(self, name)) is not None:
                name_of(value, f"HostSpec.{name}")
        _ = self.in_prefix

    @property
    def reconstructions(self) -> tuple[str, ...]:
        """Where the reconstructions are: parameters, or elements of them."""
        return (self.reconstruction,) if isinstance(self.reconstruction, str) else tuple(self.reconstruction)

    @property
    def in_prefix(self) -> tuple[str, ...]:
        """The names of the parameters that the prefix of the logs takes."""
        try:
            fields = [field for _, field, _, _ in Formatter().parse(self.log_prefix) if field is not None]
        except (ValueError, TypeError):
            fields = [""]
        if not all(field.isidentifier() for field in fields):
            advice = "In braces stands a parameter's name; a brace itself is doubled."
            raise InputError(expected("HostSpec.log_prefix", "text such as '{split}/'", repr(self.log_prefix), advice))
        return tuple(fields)

    @property
    def needed(self) -> tuple[str, ...]:
        """Every parameter that is read, as far as it is known before a call."""
        turn = (self.is_generator.argument,) if isinstance(self.is_generator, Turn) else ()
        step = () if self.step is None else (self.step,)
        images = (parameter_of(place) for place in (self.target, *self.reconstructions))
        return tuple(dict.fromkeys((*images, *turn, *step, *self.in_prefix)))

    def is_generators(self, arguments: Mapping[str, Any]) -> bool:
        """Return whether a call with these arguments trains the generator.

        Raises:
            InputError: `is_generator` asks for an argument that there is not.
        """
        if self.is_generator is None:
            return True
        try:
            return bool(self.is_generator(arguments))
        except KeyError as error:
            wanted, got = "a parameter of the host's forward", f"{error.args[0]!r}" if error.args else "another"
            advice = did_you_mean(str(error.args[0]) if error.args else "", arguments)
            raise InputError(expected("HostSpec.is_generator", wanted, got, advice)) from error

    def reduced_by(self, host: Any) -> HostSpec:
        """Return the specification with what a host's own options say of its reduction."""
        return replace(self, reduction=self.reduction(host)) if callable(self.reduction) else self

    def prefix(self, arguments: Mapping[str, Any]) -> str:
        """Return what stands before the names of a call's logs.

        Raises:
            InputError: An argument that its place in the prefix cannot take.
        """
        try:
            return self.log_prefix.format_map(arguments)
        except (ValueError, TypeError, KeyError) as error:
            wanted = f"arguments that fit {self.log_prefix!r}"
            raise InputError(expected("HostSpec.log_prefix", wanted, str(error).rstrip("."))) from error


def place_of(value: Any, where: str) -> str:
    """Return where images are among a call's arguments; raises InputError for what is no such place."""
    if not isinstance(value, str) or not PLACE.fullmatch(value):
        raise InputError(expected(where, "a name such as 'inputs', or an element such as 'outputs[0]'", repr(value)))
    return value


def parameter_of(place: str) -> str:
    """Return the parameter that a place is in.

    Example:
        >>> parameter_of("outputs[0]")
        'outputs'
    """
    return re.split(r"[\[.]", place, maxsplit=1)[0]


def element(arguments: Mapping[str, Any], place: str, where: str) -> Any:
    """Return what is at a place among a call's arguments.

    Args:
        arguments: Arguments by name.
        place: Name of a parameter, or of an element of it.
        where: Name of the place, for the sentence.

    Raises:
        InputError: The argument has nothing there.
    """
    value = arguments[parameter_of(place)]
    for position, key, attribute in STEP.findall(place):
        try:
            value = item_of(value, int(position) if position else key or attribute)
        except LookupError:
            got = f"a {type(value).__name__} without {position or repr(key or attribute)}"
            raise InputError(expected(where, "images there", got, "Look at what the call is given.")) from None
    return value


def name_of(value: Any, where: str) -> str:
    """Return a parameter's name; raises InputError for what is none."""
    if not isinstance(value, str) or not value.isidentifier():
        raise InputError(expected(where, "a name such as 'inputs'", repr(value)))
    return value


def names_of(value: Any, where: str) -> tuple[str, ...]:
    """Return parameters' names, one or several; raises InputError for what is none."""
    several = value if isinstance(value, tuple | list) else (value,)
    return tuple(name_of(one, where) for one in several)
