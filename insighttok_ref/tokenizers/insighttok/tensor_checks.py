"""Whether tensors are those that a model wants, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, strided

from insighttok_ref.tokenizers.insighttok.layouts import Tensors, other_layers
from regionloss.errors import WeightsError, expected

SHOWN = 5


def check_tensors(wanted: Mapping[str, Tensor], tensors: Tensors, where: str) -> None:
    """Raise WeightsError where a file has not just what is wanted, in its shapes, as numbers."""
    _same_names(wanted, tensors, where)
    bad = [name for name in wanted if wanted[name].shape != tensors[name].shape]
    if bad:
        shapes = f"{tuple(wanted[bad[0]].shape)}", f"{tuple(tensors[bad[0]].shape)}"
        more = f" (and {len(bad) - 1} more of a wrong shape)" if bad[1:] else ""
        raise WeightsError(expected(f"{where}, '{bad[0]}'", f"a shape {shapes[0]}", f"{shapes[1]}{more}"))
    odd = [name for name in wanted if not _is_number(tensors[name], wanted[name])]
    if odd:
        held = tensors[odd[0]]
        got = "none in the file" if held.is_meta else f"values of {held.dtype}, {held.layout}"
        raise WeightsError(expected(f"{where}, '{odd[0]}'", f"values of {wanted[odd[0]].dtype}", got))


def _is_number(held: Tensor, wanted: Tensor) -> bool:
    """Whether values are there, dense, and as the model can take them: no integers for weights, nothing complex."""
    fits = held.is_floating_point() or (not held.is_complex() and not wanted.is_floating_point())
    return fits and not held.is_meta and held.layout == strided


def _same_names(wanted: Mapping[str, Tensor], tensors: Tensors, where: str) -> None:
    """Raise WeightsError that names what is missing, and what nobody expects."""
    problems = []
    for what, names in (
        ("without", [name for name in wanted if name not in tensors]),
        ("with the unknown", [name for name in tensors if name not in wanted]),
    ):
        if names:
            more = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
            problems.append(f"{what} {', '.join(names[:SHOWN])}{more}")
    if problems:
        wanted_of = f"the {len(wanted)} tensors of such a tokenizer"
        got = f"a file {' and '.join(problems)}"
        advice = other_layers(wanted, tensors) or ("Is it whole?" if wanted.keys() - tensors.keys() else "")
        raise WeightsError(expected(where, wanted_of, got, advice))
