"""The hooks' page is complete, and what it says is what plugins meet."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import get_type_hints

import pytest

from docs.generator.hooks import page
from regionloss.hooks import specs
from regionloss.hooks.manager import HOOKS
from regionloss.hooks.records import Plugin
from regionloss.hooks.registrar import Registrar

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
def test_register_takes_what_its_specification_says(hook: str) -> None:
    given = inspect.signature(Registrar(Plugin("p", "d", "1")).for_hook(hook)).parameters.values()
    assert [(p.name, p.kind, p.default) for p in given] == [(p.name, p.kind, p.default) for p in arguments(hook)]


def test_the_example_on_the_page_is_a_plugin(tmp_path: Path) -> None:
    from regionloss.hooks.catalogue import build_catalogue

    (tmp_path / "mine.py").write_text(page().split("```python\n")[1].split("```")[0])
    catalogue = build_catalogue([], files=[tmp_path / "mine.py"])
    assert not catalogue.broken
    assert catalogue.find("backbone", "mine/tiny").target == "my_package.networks:Tiny"
