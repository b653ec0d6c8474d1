"""The judges of a run: other networks than the loss is computed with, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from regionloss.errors import InputError, PluginError, UnknownNameError, WeightsError, expected
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
        try:
            canonical, judge = built(name, catalogue)
        except (WeightsError, PluginError) as error:
            notes.append(f"No independent judge of '{kind}' regions: {error}")
            continue
        if judge.kind != kind:
            raise InputError(
                expected(f"evaluation.judges.{kind}", f"a judge of {kind}", f"{canonical}, of {judge.kind}")
            )
        refuse_loss_network(canonical, judge, trained_against)
        judges[kind] = judge
    return judges, notes


def judges_of(names: Sequence[str], where: Catalogue, trained_against: Mapping[str, str]) -> dict[str, Judge]:
    """Return judges by name, those that are missing named all at once.

    Args:
        names: Names of judges, of any kinds of regions; `name=path` takes the weights from a path.
        where: Catalogue in which they are registered.
        trained_against: Names of the weights by sha256 that it was trained against; empty lets any judge.

    Raises:
        InputError: A judge that was trained against.
        UnknownNameError: No judge has that name.
        WeightsError: Weights that are not here.
    """
    judges: dict[str, Judge] = {}
    missing: list[str] = []
    for name in names:
        try:
            canonical, judge = built(name, where)
        except (WeightsError, PluginError) as error:
            missing.append(str(error))
            continue
        refuse_loss_network(canonical, judge, trained_against)
        judges[canonical] = judge
    if missing:
        raise WeightsError("\n".join(missing))
    return judges


#: Judges where nobody chose any, by suite: of each group the first that is here and was not trained against.
DEFAULTS: Mapping[str, Sequence[Sequence[str]]] = {
    "text": (("text/ppocr-v6", "text/crnn-english-g2"), ("text/tesseract",)),  # the second has a language model
    "face": (("face/faceres", "face/dlib"),),
    "documents": (("text/ppocr-v6-page",),),
}


def default_judges(
    suites: Sequence[str], where: Catalogue, trained_against: Mapping[str, str]
) -> tuple[dict[str, Judge], list[str]]:
    """Return the judges of suites where nobody chose any, and a sentence for each that could not be taken.

    Args:
        suites: Names of suites.
        where: Catalogue in which judges are registered.
        trained_against: Names of the weights by sha256 that what is evaluated was trained against.

    Raises:
        WeightsError: A suite is left without a judge.
    """
    judges: dict[str, Judge] = {}
    notes: list[str] = []
    for suite in suites:
        found: dict[str, Judge] = {}
        for group in DEFAULTS.get(suite, ()):
            found |= first_of(group, where, trained_against, notes)
        if suite in DEFAULTS and not found:
            raise WeightsError("\n".join([f"--suite {suite}: no judge is here.", *notes]))
        judges |= found
    return judges, notes


def first_of(
    names: Sequence[str], where: Catalogue, trained_against: Mapping[str, str], notes: list[str]
) -> dict[str, Judge]:
    """Return the first judge of these that is here and was not trained against, by its name; add why others are not."""
    for name in names:
        try:
            canonical, judge = built(name, where)
            refuse_loss_network(canonical, judge, trained_against)
        except (WeightsError, PluginError, UnknownNameError, InputError) as error:
            notes.append(f"No judge {name}: {error}")
        else:
            return {canonical: judge}
    return {}


def built(name: str, where: Catalogue) -> tuple[str, Judge]:
    """Return a judge with its whole name, its weights from a path where `name=path` says one.

    Raises:
        UnknownNameError: No judge has that name.
        PluginError: What it needs is not installed.
        WeightsError: Its weights are not here.
    """
    bare, _, path = name.partition("=")
    canonical = where.find("judge", bare).canonical
    judge: Judge = where.build("judge", canonical, {"weights": path} if path else {})
    return canonical, judge


def trained_against(checkpoint: Path | None) -> dict[str, str]:
    """Return the names, by sha256, of the weights that the terms of a run of ours computed with.

    Args:
        checkpoint: A file or a folder of the run, whose `resolved.yaml` (of a part, `resolved.json`) says so; None, and
            all else, is not known.
    """
    folders = [] if checkpoint is None else [checkpoint, *checkpoint.resolve().parents[:3]]
    for path in (folder / name for folder in folders for name in ("resolved.yaml", "resolved.json")):
        with suppress(OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
            return loss_weights(yaml.safe_load(path.read_text(encoding="utf-8")))
    return {}


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
