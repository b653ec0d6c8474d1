"""From a tokenizer's `quantizer` options to the quantizer that they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from insighttok_ref.quantizers.base import Quantizer
from insighttok_ref.quantizers.ema import EMAQuantizer
from insighttok_ref.schema import ByName, refuse_half, without_use
from regionloss.errors import InputError, RegionLossError, expected
from regionloss.hooks.catalogue import catalogue, load_target
from regionloss.hooks.options import checked_options
from regionloss.hooks.validation import PartError, Problem

#: What options without a name mean: recipes and checkpoints from before there were others.
DEFAULT = "insighttok/ema"
QUANTIZER = ByName("quantizer", DEFAULT)
#: Arguments that are the tokenizer's to say.
GIVEN = ("codebook_size", "code_dim")


def named(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options whose `use` is the canonical name, and absent for the default.

    Raises:
        UnknownNameError: No plugin has such a quantizer.
    """
    use = QUANTIZER.canonical(options)
    return without_use(options) if use == DEFAULT else {**without_use(options), "use": use}


def check_quantizer(options: Mapping[str, Any]) -> None:
    """Check the `quantizer` options of a recipe.

    Raises:
        PartError: The name is not registered, or its class has no such options.
    """
    try:
        problems = _checked(_target(options), 1, 1, options)[1]
    except RegionLossError as error:
        problems = [Problem((), str(error), type(error))]
    if problems:
        raise PartError(problems)


def build_quantizer(codebook_size: int, code_dim: int, options: Mapping[str, Any]) -> Quantizer:
    """Return the quantizer that `options` name with `use`, the default where they do not.

    Raises:
        UnknownNameError: No plugin has such a quantizer.
        InputError: It has no such options, or is no quantizer.
    """
    target = _target(options)
    values, problems = _checked(target, codebook_size, code_dim, options)
    if problems:
        raise InputError("\n".join(f"quantizer: {problem}" for problem in problems))
    refuse_half(target, f"quantizer '{options.get('use')}'")
    made = target(**values)
    if not isinstance(made, Quantizer):
        advice = "Let its class extend insighttok_ref.quantizers.base.Quantizer."
        raise InputError(expected(f"quantizer '{options['use']}'", "a Quantizer", type(made).__name__, advice))
    return made


def _target(options: Mapping[str, Any]) -> Any:
    use = QUANTIZER.canonical(options)
    return EMAQuantizer if use == DEFAULT else load_target(catalogue().find("quantizer", use))


def _checked(
    target: Any, codebook_size: int, code_dim: int, options: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Problem]]:
    rest = without_use(options)
    said = "expected it among the model's options, got it among the quantizer's."
    problems = [Problem((key,), said) for key in GIVEN if key in rest]
    values, more = checked_options(target, {**rest, "codebook_size": codebook_size, "code_dim": code_dim})
    return values, [*problems, *more]
