"""What the options of all parts of a recipe share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from regionloss.errors import InputError, RegionLossError, expected
from regionloss.hooks.catalogue import catalogue
from regionloss.recipe import check_part


class Strict(BaseModel):
    """Options that know all their keys and do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ComponentUse(Strict):
    """A registered component of one kind by name, checked with the options of its constructor."""

    kind: ClassVar[str]

    use: str
    options: Mapping[str, Any] = {}

    @model_validator(mode="after")
    def _known(self) -> Self:
        check_part(self.kind, self.use, self.options)
        return self


@dataclass(frozen=True)
class ByName:
    """Options that name a component of one kind with `use`; without it they are those of a default, spelt out.

    Args:
        kind: Kind of the component.
        default: Canonical name of the default, which needs no plugin.
    """

    kind: str
    default: str

    def canonical(self, options: Mapping[str, Any]) -> str:
        """Return the canonical name of the component that options mean.

        Raises:
            UnknownNameError: No plugin has such a component.
        """
        use = options.get("use", self.default)
        return self.default if use == self.default else catalogue().find(self.kind, use).canonical

    def is_default(self, options: Mapping[str, Any]) -> bool:
        """Whether options mean the default, under whichever of its names."""
        try:
            return self.canonical(options) == self.default
        except RegionLossError:
            return False

    def checked(self, check: Callable[[dict[str, Any]], None]) -> WrapValidator:
        """Return a validator that leaves the default's options to its schema, and others to a check."""

        def validate(options: Any, of_the_default: ValidatorFunctionWrapHandler) -> Any:
            if not isinstance(options, dict) or not isinstance(options.get("use", ""), str) or self.is_default(options):
                return of_the_default(options)
            check(options)
            return options

        return WrapValidator(validate)


def refuse_half(target: Any, where: str) -> None:
    """Raise InputError for a class that lacks methods of its base class."""
    if missing := getattr(target, "__abstractmethods__", ()):
        raise InputError(expected(where, f"methods {', '.join(sorted(missing))}", "none"))


def without_use(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options but for the name of what they are options of."""
    return {name: value for name, value in options.items() if name != "use"}
