"""`python -m docs.generator` writes the generated pages; a test compares the files with what this writes."""

from __future__ import annotations

from pathlib import Path

from docs.generator import api, commands, components, hooks, recipe

ROOT = Path(__file__).parents[2]


def pages() -> dict[Path, str]:
    """Return what each generated file should hold."""
    reference = ROOT / "docs" / "reference"
    return {
        reference / "api.md": api.page(),
        reference / "components.md": components.with_table(reference / "components.md"),
        reference / "cli.md": commands.page(),
        reference / "hooks.md": hooks.page(),
        reference / "recipe.md": recipe.page(),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
