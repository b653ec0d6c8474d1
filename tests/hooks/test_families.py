"""Names of families: what follows a component's name is one of its options."""

from __future__ import annotations

from pathlib import Path

import pytest

from regionloss.errors import InputError, UnknownNameError
from regionloss.hooks.catalogue import build_catalogue
from tests.disk_plugins import write_distribution

FAMILY = """
from regionloss.hooks import hookimpl

class Power:
    def __init__(self, exponent: str, scale: float = 1.0):
        self.exponent, self.scale = exponent, scale

@hookimpl
def register_distances(register):
    register("power", f"{__name__}:Power", licence="MIT", summary="a family", family="exponent", formerly=["old/pow"])
"""


@pytest.fixture
def known(site: Path):
    write_distribution(site, "one", FAMILY)
    return build_catalogue(["one"])


@pytest.mark.parametrize("name", ["power/2.5", "one/power/2.5", "old/pow/2.5"])
def test_the_rest_of_a_name_is_an_option(known, name: str) -> None:
    assert known.find("distance", name).canonical == "one/power/2.5"
    built = known.build("distance", name, {"scale": 2})
    assert (built.exponent, built.scale) == ("2.5", 2.0)


def test_the_bare_name_takes_the_option_as_any(known) -> None:
    for name in ("power", "one/power", "old/pow"):
        assert known.find("distance", name).canonical == "one/power"
        assert known.build("distance", name, {"exponent": "3"}).exponent == "3"


def test_the_option_may_be_repeated_and_not_contradicted(known) -> None:
    assert known.build("distance", "power/2", {"exponent": "2"}).exponent == "2"
    with pytest.raises(InputError, match=r"expected no other exponent than its name says, got exponent='3'\."):
        known.build("distance", "power/2", {"exponent": "3"})


def test_no_other_names_are_families(known) -> None:
    for name in ("power/", "squared-l2/2", "pow/2"):
        with pytest.raises(UnknownNameError):
            known.find("distance", name)


def test_a_recipe_names_members_and_says_them_whole(tmp_path, known) -> None:
    """The resolved file is a recipe again, with the option and the file that it chose."""
    torchvision = pytest.importorskip("torchvision")
    import hashlib

    import torch

    from regionloss.recipe.load import load_terms_file
    from regionloss.recipe.resolved import resolved

    weights = tmp_path / "mine.pth"
    torch.save(torchvision.models.shufflenet_v2_x0_5(weights=None).state_dict(), weights)
    file = tmp_path / "terms.yaml"
    part = f"{{name: torchvision/shufflenet_v2_x0_5, options: {{weights: {weights}}}}}"
    file.write_text(f"version: 1\nterms:\n  a: {{use: region-lpips, kind: logo, weight: 1, backbone: {part}}}\n")
    whole = resolved(load_terms_file(file))
    backbone = whole["recipe"]["terms"]["a"]["backbone"]
    assert backbone["name"] == "core/torchvision/shufflenet_v2_x0_5"
    assert backbone["options"]["network"] == "shufflenet_v2_x0_5"
    (used,) = [c for c in whole["components"] if c["kind"] == "backbone"]
    assert [w["sha256"] for w in used["weights"]] == [hashlib.sha256(weights.read_bytes()).hexdigest()]
    assert known  # a plugin's family beside it is no trouble
