"""Each hook, called through a distribution on disk: what it registers is found, with its provenance."""

from __future__ import annotations

from pathlib import Path

import pytest

from regionloss.hooks.catalogue import COMPONENT_KINDS, build_catalogue
from regionloss.hooks.manager import HOOKS
from tests.disk_plugins import write_distribution

COMPONENT = 'register("mine", "a.b:C", licence="MIT", summary="one of mine", weights=["w"], extra="more>=1")'
EXAMPLES = dict.fromkeys(COMPONENT_KINDS, COMPONENT) | {
    "register_terms": """register(
        "mine", kind="text", extractor="resize", backbone="net", detector="d", distance="squared-l2",
        weighting="uniform", options={"extractor": {"size": [8, 8]}}, default=True, licence="MIT", summary="a term")""",
    "register_region_kinds": """register(
        "hand", summary="a hand", keypoints=["wrist", "left", "right"], flip_pairs=[(1, 2)])""",
    "register_weights": f"""register(
        "w", filename="w.pth", sha256="{"0" * 64}", size=3, source="pip:a==1:b/w.pth", licence="MIT",
        summary="a file", packaged=True, needs_conversion=True)""",
}


def test_every_hook_has_an_example() -> None:
    assert set(EXAMPLES) == set(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_registers_through_a_distribution(site: Path, hook: str) -> None:
    body = EXAMPLES[hook]
    source = f"from regionloss.hooks import hookimpl\n@hookimpl\ndef {hook}(register):\n    {body.strip()}\n"
    write_distribution(site, "my-own", source, version="2.3")
    catalogue = build_catalogue(["my-own"])
    assert not catalogue.broken
    (record,) = [r for r in catalogue.records if r.plugin == "my-own"]
    assert (record.distribution, record.version) == ("regionloss-my-own", "2.3")
    assert record.canonical == f"my-own/{record.name}"


@pytest.mark.parametrize(("hook", "kind"), COMPONENT_KINDS.items())
def test_components_keep_what_they_were_registered_with(site: Path, hook: str, kind: str) -> None:
    source = f"from regionloss.hooks import hookimpl\n@hookimpl\ndef {hook}(register):\n    {COMPONENT}\n"
    write_distribution(site, "my-own", source)
    found = build_catalogue(["my-own"]).find(kind, "my-own/mine")
    assert (found.kind, found.target, found.licence) == (kind, "a.b:C", "MIT")
    assert (found.summary, found.weights, found.extra) == ("one of mine", ("w",), "more>=1")


def test_terms_kinds_and_weights_keep_what_they_were_registered_with(site: Path) -> None:
    hooks = ("register_terms", "register_region_kinds", "register_weights")
    bodies = "".join(f"@hookimpl\ndef {hook}(register):\n    {EXAMPLES[hook].strip()}\n" for hook in hooks)
    write_distribution(site, "my-own", f"from regionloss.hooks import hookimpl\n{bodies}")
    catalogue = build_catalogue(["my-own"])
    term = catalogue.term("my-own")
    assert (term.name, term.kind, term.detector, term.weighting) == ("mine", "text", "d", "uniform")
    assert term.options == {"extractor": {"size": [8, 8]}}
    kind = catalogue.region_kind("hand")
    assert (kind.keypoints, kind.flip_pairs) == (("wrist", "left", "right"), ((1, 2),))
    weight = catalogue.weight("w")
    assert (weight.filename, weight.sha256, weight.size) == ("w.pth", "0" * 64, 3)
    assert (weight.source, weight.packaged, weight.needs_conversion) == ("pip:a==1:b/w.pth", True, True)
