"""The reference of the hooks, from their specifications."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from docs.generator.text import BY, arguments
from regionloss.hooks import specs
from regionloss.hooks.manager import HOOKS

INTRODUCTION = """\
A plugin is a small module that implements some of the hooks below and imports nothing heavy. Each hook receives a
function `register` and calls it once for each thing that the plugin brings. Targets are strings
`"package.module:Name"`: they are imported when a recipe or a caller names the component, never before.

```python
from regionloss.hooks import hookimpl


@hookimpl
def register_feature_backbones(register):
    register(
        "tiny",
        "my_package.networks:Tiny",
        licence="MIT",
        summary="a small network of mine",
    )
```

The distribution names the module as an entry point of the group `regionloss`; the entry point's name is the plugin's:

```toml
[project.entry-points.regionloss]
mine = "my_package.plugin"
```

Recipes then say `mine/tiny`, or `tiny` while no other plugin has that name. A recipe may also name a file beside it,
`plugins: [./mine.py]`: the plugin is called `mine`, and its targets may name the file itself, `"mine:Tiny"`, or other
files in that folder.

## What happens at loading

- Plugins are loaded one at a time. One that fails (its import, an exception in a hook, a misspelled hook, a hook
  without its marker, wrong arguments to `register`) registers nothing, is reported by every command, and stops only
  those who ask for its components.
- Two distributions whose plugins have one name are reported by every command. Two components of one canonical name
  `plugin/name`, or two default terms, are an error for who asks for them; it names both distributions.
- `REGIONLOSS_PLUGINS=a,b` loads only the installed plugins `a` and `b`; empty, it loads none. Core's own components
  (plugin `core`) are always there, and so are the files that a recipe names.
- `REGIONLOSS_TRACE=1` prints each hook that is called, and what it registered, to standard error.
- A constructor's signature is the schema of a component's options. `regionloss check` reports a misspelled or missing
  option, or one of the wrong type, with its line in the recipe; dataclasses and pydantic models in the annotations are
  checked to their depth.

## Names

Lower-case letters and digits, with `-`, `_` or `.` between them.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [f"# Hooks\n\n{BY}\n\n{INTRODUCTION}"]
    for hook in HOOKS:
        function = getattr(specs, hook)
        register = get_type_hints(function)["register"]
        parts.append(_section(hook, function, register))
    return "\n".join(parts)


def _section(hook: str, function: Callable[..., None], register: Any) -> str:
    signature = _signature(register.__call__)
    found = arguments(inspect.getdoc(register.__call__) or "")
    if not found:  # "arguments as for a component"
        found = arguments(inspect.getdoc(specs.RegisterComponent.__call__) or "")
    rows = "\n".join(f"| `{name}` | {text} |" for name, text in found)
    documentation = inspect.getdoc(function) or ""
    return f"## `{hook}(register)`\n\n{documentation}\n\n`{signature}`\n\n| argument | meaning |\n|---|---|\n{rows}\n"


def _signature(call: Callable[..., Any]) -> str:
    """Return `register(name: str, ...)` as specified, without `self` and the result."""
    shown = []
    for parameter in inspect.signature(call).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        shown.append(f"{parameter.name}: {parameter.annotation}{default}")
    return f"register({', '.join(shown)})"
