"""What a name of a detector stands for: itself, or, of a term, the detector that annotates for it."""

from __future__ import annotations

from collections.abc import Mapping

from regionloss.errors import InputError, UnknownNameError, did_you_mean, expected
from regionloss.hooks.catalogue import Catalogue


def stands_for(name: str, where: Catalogue, option: str = "--detectors") -> tuple[str, Mapping[str, object]]:
    """Return the canonical name of a detector, and the options that a term gives it.

    Args:
        name: Name of a detector (`face/mtcnn`), or of a term, which stands for the detector that annotates for it.
        where: The plugins to look in.
        option: How sentences name the place of the name.

    Raises:
        InputError: A term whose regions are given.
        UnknownNameError: No detector and no term has this name.
    """
    terms = where.terms()
    if not any(name == term.plugin and term.default for term in terms):
        try:
            return where.find("detector", name).canonical, {}
        except UnknownNameError:
            if not any(name in (term.name, term.canonical) for term in terms):
                check_name(name, where)
                raise
    term = where.term(name)
    if not term.detector:
        raise InputError(expected(option, "a term with a detector", f"'{name}', whose regions are given"))
    return where.find("detector", term.detector, plugin=term.plugin).canonical, term.options.get("detector", {})


def check_name(name: str, where: Catalogue) -> None:
    """Raise UnknownNameError, with a guess, for what is neither a detector's name nor a term's."""
    terms = [term for term in where.terms() if term.detector]
    known_names = {one.name for one in [*where.components("detector"), *terms]}
    known_names |= {term.plugin for term in terms if term.default}
    if "/" not in name and name not in known_names:
        raise UnknownNameError(f"no detector and no term is named '{name}'. {did_you_mean(name, known_names)}")
