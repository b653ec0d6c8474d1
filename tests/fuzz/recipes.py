"""Recipes: text and values damaged, and overrides; `check`, `check --no-plugins` and `show` on each."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import yaml

from regionloss.recipe.source import parse_yaml
from tests.fuzz.damage import ODD, bytes_of, nested, values_of
from tests.fuzz.judging import Fault, command

PLUGIN = """
from regionloss.hooks import hookimpl


@hookimpl
def register_area_weightings(register):
    register("own", "plug:Own", licence="MIT", summary="one for all")


class Own:
    def __init__(self, power: float = 1.0) -> None: ...
"""
SAMPLE: dict[str, Any] = {
    "version": 1,
    "terms": {
        "text": {"use": "region-lpips", "kind": "text", "weight": 0.01, "start_step": 5, "weighting": "uniform"},
        "face": {
            "use": "region-lpips",
            "kind": "face",
            "extractor": {"name": "resize", "options": {"size": [32, 48]}},
            "detector": {"name": "given", "options": {"boxes": [[1, 2, 3, 4]], "kind": "face"}},
            "distance": {"name": "squared-l2", "options": {}},
        },
    },
}
#: What YAML alone can write.
WRITTEN = (
    "!!int x", "!!float [1]", "!!python/name:os.system ''", "!!set {a}", "&a [*a]", "*a", "'\\0'", '"\\0"', '"\\ud800"',
    '"\\UFFFFFFFF"', "[" * 3_000, "{a: " * 300, "- " * 200, "1" * 5_000, "0x" + "f" * 2_000, "1e400", ".nan",
    "<<: {a: 1}",
    "? [a] : b", "|9\n x", "%YAML 9.9", "--- a\n--- b", "\ttab", "@x", "`", "1_", "-_1", "0x", "12e", "2024-01-31", "~",
)  # fmt: skip


#: Of each rule about a value, one that breaks it.
WRONG = (
    "version=2", "version=0", "seed=-1", "seed=9223372036854775808", "seed=1.5", "terms.text.weight=-0.5",
    "terms.text.weight=.inf", "terms.text.weight=.nan", "terms.text.weight=x", "terms.text.start_step=-1",
    "terms.text.start_step=1.5", "terms.text.kind=''", "terms.text.use=none", "terms.text.weighting=none",
    "terms.text.unknown=1", "unknown=1", "terms.face.distance.name=none", "terms.face.distance.options={x: 1}",
    "terms.face.detector.options.kind=3",
)  # fmt: skip


def bomb(rng: random.Random) -> str:
    """Return lists of aliases that grow with each line."""
    width = rng.choice((2, 9, 30))
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, rng.choice((4, 12, 30)))]
    return "\n".join(lines)


def text_of(rng: random.Random) -> str:
    """Return the text of a recipe."""
    how = rng.randrange(8)
    sample = SAMPLE | {"plugins": ["./plug.py"]} if rng.random() < 0.15 else SAMPLE
    text = yaml.safe_dump(sample, sort_keys=False)
    if how == 0:
        return bytes_of(rng, text.encode()).decode("utf-8", "surrogateescape")
    if how == 1:
        lines = text.splitlines()
        lines[rng.randrange(len(lines))] += rng.choice(WRITTEN)
        return "\n".join(lines)
    if how == 2:
        key = rng.choice(["seed", "version", "plugins", "terms", "x"])
        return text.replace(f"{key}:", "was:", 1) + f"\n{key}: {rng.choice(WRITTEN)}\n"
    if how == 3:
        return f"{bomb(rng)}\n{text}"
    data = values_of(rng, sample)
    try:
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=10_000)
    except RecursionError:
        return json.dumps(data)


def override_of(rng: random.Random) -> str:
    """Return `key.path=value`, more or less."""
    names = [
        "terms",
        "text",
        "face",
        "weight",
        "extractor",
        "options",
        "size",
        "0",
        "1",
        "seed",
        "9" * 30,
        "²",
        "é",
        "",
    ]
    path = ".".join(rng.choice(names) for _ in range(rng.choice((1, 2, 3, 4, 5, 60))))
    value = rng.choice((*WRITTEN, *map(str, ODD), "[1, 2]", str(nested(rng, 45))))
    return f"{path}{rng.choice(('=', '=', '=', '', '=='))}{value}"


def fuzz(rng: random.Random, folder: Path) -> None:
    """Check a recipe, and read again what `show` says of it."""
    (folder / "plug.py").write_text(PLUGIN)
    wrong = rng.random() < 0.6
    if not wrong and rng.random() < 0.8:
        (folder / "recipe.yaml").write_text(text_of(rng), encoding="utf-8", errors="surrogateescape")
        overrides = [override_of(rng)] if rng.random() < 0.3 else []
    else:
        (folder / "recipe.yaml").write_text(yaml.safe_dump(SAMPLE))
        overrides = [rng.choice(WRONG)] if wrong else [override_of(rng) for _ in range(rng.choice((1, 2, 4)))]
    overrides, recipe = [one for one in overrides if not one.startswith("-")], str(folder / "recipe.yaml")
    checked = command("check", recipe, *overrides)
    if wrong and checked.code == 0:
        raise Fault(f"{overrides[0]} is right: {checked.out[:160]}")
    apart = command("check", recipe, *overrides, "--no-plugins")
    if checked.code == 0 and apart.code != 0:
        raise Fault(f"right with its plugins, wrong without: {apart.err[:160]}")
    if checked.code == 0:
        shown = command("show", recipe, *overrides)
        data = parse_yaml(shown.out, "shown").data["recipe"]
        (folder / "again.yaml").write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
        again = command("show", str(folder / "again.yaml"))
        # As texts: what is no number is not equal to itself.
        if again.code or yaml.safe_dump(parse_yaml(again.out, "again").data["recipe"]) != yaml.safe_dump(data):
            raise Fault(f"what show says is read back as something else: {again.err[:160]}")
