"""The judges of a run: other networks than the loss is computed with, or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regionloss.errors import InputError, PluginError, WeightsError, expected
from regionloss.hooks.catalogue import Catalogue
from regionloss.judges import Judge


def build_judges(
    names: Mapping[str, str], catalogue: Catalogue, resolved: Mapping[str, Any]
) -> tuple[dict[str, Judge], list[str]]:
    """Return a judge by region kind, and a sentence for each that is not here.

    Args:
        names: Name of the judge by region kind.
        catalogue: Catalogue in which judges are registered.
        resolved: The resolved recipe, whose components name the loss networks' weights.

    Raises:
        InputError: A judge of another kind, or one whose weights the loss is computed with.
        UnknownNameError: No judge has that name.
    """
    trained_against = loss_weights(resolved)
    judges: dict[str, Judge] = {}
    notes: list[str] = []
    for kind, name in names.items():
        catalogue.find("judge", name)
        try:
            judge: Judge = catalogue.build("judge", name, {})
        except (WeightsError, PluginError) as error:
            notes.append(f"No independent judge of '{kind}' regions: {error}")
            continue
        if judge.kind != kind:
            raise InputError(expected(f"evaluation.judges.{kind}", f"a judge of {kind}", f"{name}, of {judge.kind}"))
        refuse_loss_network(name, judge, trained_against)
        judges[kind] = judge
    return judges, notes


def loss_weights(resolved: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the loss networks' weights by sha256."""
    backbones = (part for part in resolved["components"] if part["kind"] == "backbone")
    return {weight["sha256"]: weight["name"] for part in backbones for weight in part["weights"] if weight["sha256"]}


def refuse_loss_network(name: str, judge: Judge, trained_against: Mapping[str, str]) -> None:
    """Raise InputError for a judge whose weights are among those that the loss is computed with, by sha256."""
    if judge.weights_sha256 in trained_against:
        weights = trained_against[judge.weights_sha256]
        raise InputError(
            f"judge '{name}': expected a network that the loss is not computed with, got '{weights}', which it is. "
            "It would praise what it was asked for. Choose another judge, or another backbone for the term."
        )
