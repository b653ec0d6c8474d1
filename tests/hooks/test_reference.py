"""The hooks' page is complete, and what it says is what plugins meet."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest

from docs.generator.hooks import page
from regionloss.errors import PluginError
from regionloss.hooks import specs
from regionloss.hooks.manager import HOOKS
from regionloss.hooks.records import Component, Plugin, Registered
from regionloss.hooks.registrar import RECORDS, Registrar

#: Of arguments without a default.
GOOD = {
    "name": "mine", "target": "a.b:C", "licence": "MIT", "summary": "s", "kind": "text", "extractor": "e",
    "backbone": "b", "filename": "f", "sha256": "", "size": 1, "source": "path:",
}  # fmt: skip
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hooks.md"


def arguments(hook: str) -> list[inspect.Parameter]:
    call = get_type_hints(getattr(specs, hook))["register"].__call__
    return [p for p in inspect.signature(call).parameters.values() if p.name != "self"]


@pytest.mark.parametrize("hook", HOOKS)
def test_the_page_documents_a_hook_with_its_exact_arguments(hook: str) -> None:
    section = PAGE.read_text(encoding="utf-8").split(f"## `{hook}(register)`\n")[1].split("\n## ")[0]
    signature = next(line for line in section.splitlines() if line.startswith("`register("))
    for parameter in arguments(hook):
        assert f"{parameter.name}: {parameter.annotation}" in signature
        assert f"| `{parameter.name}` | " in section
    assert section.count("\n| `") == len(arguments(hook))


@pytest.mark.parametrize("hook", HOOKS)
def test_a_record_keeps_all_that_a_specification_asks_for_and_no_more(hook: str) -> None:
    record = RECORDS[get_type_hints(getattr(specs, hook))["register"]]
    kept = {field.name for field in fields(record)} - {field.name for field in fields(Registered)} | {"name"}
    # What the hook itself says.
    assert kept - ({"kind", "file"} if record is Component else set()) == {p.name for p in arguments(hook)}


WRONG_VALUES: dict[str, object] = {
    "str": 5,
    "int": "5",
    "bool": "yes",
    "float": -1.0,
    "Sequence[str]": "abc",
    "Sequence[tuple[int, int]]": "ab",
    "Mapping[str, Mapping[str, object]] | None": {"extractor": 5},
}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_value_of_another_type_is_a_sentence_that_names_the_argument(hook: str) -> None:
    call = {p.name: GOOD.get(p.name, p.default) for p in arguments(hook)}
    Registrar(Plugin("p", "d", "1")).for_hook(hook)(**call)
    for argument in arguments(hook):
        wrong = call | {argument.name: WRONG_VALUES[str(argument.annotation)]}
        with pytest.raises(PluginError, match=f"{argument.name}: expected .*, got "):
            Registrar(Plugin("p", "d", "1")).for_hook(hook)(**wrong)


def test_the_example_on_the_page_is_a_plugin(tmp_path: Path) -> None:
    from regionloss.hooks.catalogue import build_catalogue

    (tmp_path / "mine.py").write_text(page().split("```python\n")[1].split("```")[0])
    catalogue = build_catalogue([], files=[tmp_path / "mine.py"])
    assert not catalogue.broken
    assert catalogue.find("backbone", "mine/tiny").target == "my_package.networks:Tiny"
