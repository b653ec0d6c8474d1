"""YAML as data with lines: scalars, duplicate keys, broken files."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from regionloss.errors import RecipeError
from regionloss.recipe.source import parse_value, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4),
        ("1.5E3", 1500.0),
        (".5", 0.5),
        ("-2.", -2.0),
        ("1_000_000", 1_000_000),
        ("-7", -7),
        ("010", 10),
        ("0x1F", 31),
        ("1e6", 1e6),
        ("true", True),
        ("False", False),
        ("null", None),
        ("", None),
        ("~", None),
        ("yes", "yes"),
        ("on", "on"),
        ("2024-01-31", "2024-01-31"),
        ("12:30:45", "12:30:45"),
        ("'3'", "3"),
        ("e5", "e5"),
        ("1.2.3", "1.2.3"),
        ("-", [None]),
        ("[32, 128]", [32, 128]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
    ],
)
def test_scalars(text: str, value: object) -> None:
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


def test_infinities() -> None:
    assert parse_value("-.inf") == -math.inf
    assert math.isnan(parse_value(".nan"))


def test_every_key_and_item_knows_its_line() -> None:
    text = "a: 1\nb:\n  c: {d: 2}\n  list:\n    - x\n    - y: 3\n      z: 4\n"
    source = parse_yaml(text, "r.yaml")
    lines = {".".join(map(str, path)): place for path, place in source.places.items()}
    assert lines == {
        "a": "r.yaml:1",
        "b": "r.yaml:2",
        "b.c": "r.yaml:3",
        "b.c.d": "r.yaml:3",
        "b.list": "r.yaml:4",
        "b.list.0": "r.yaml:5",
        "b.list.1": "r.yaml:6",
        "b.list.1.y": "r.yaml:6",
        "b.list.1.z": "r.yaml:7",
    }
    assert source.place(("b", "list", 1, "absent", "deeper")) == "r.yaml:6"


def test_a_key_that_stands_twice_is_refused_with_both_lines() -> None:
    source = parse_yaml("a:\n  b: 1\n  c: 2\n  b: 3\n", "r.yaml")
    assert source.data == {"a": {"b": 1, "c": 2}}
    assert source.problems == (
        "r.yaml:4: a.b: expected each key once, got 'b' again. It stands at r.yaml:2 already: delete one.",
    )


def test_anchors_are_copied_and_an_endless_one_is_refused() -> None:
    assert parse_yaml("a: &x {k: 1}\nb: *x\n", "r").data == {"a": {"k": 1}, "b": {"k": 1}}
    with pytest.raises(RecipeError, match=r"^r:1: expected data that ends, got an alias inside its own anchor\.$"):
        parse_yaml("&x\na: *x\n", "r")


def test_what_is_no_yaml_is_one_sentence_with_its_line() -> None:
    with pytest.raises(RecipeError, match=r"^r\.yaml:3: expected YAML, got a mistake: "):
        parse_yaml("a: 1\nb: [1, 2\nc: 3\n", "r.yaml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("name: é".encode("latin-1"))
    for name, reason in [("absent.yaml", "got no such file."), ("latin.yaml", "codec can't decode"), (".", "a folder")]:
        with pytest.raises(RecipeError, match=reason):
            read_yaml(tmp_path / name)
