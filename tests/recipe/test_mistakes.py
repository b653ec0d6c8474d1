"""All mistakes of a recipe in one run, each with file, line, key path, what came and what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from regionloss.errors import RecipeError
from regionloss.recipe.load import load_any, load_recipe
from tests.recipe.conftest import RECIPE


def lines_of(recipe: str = "recipe.yaml", *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as told:
        load_recipe(recipe, overrides)
    return str(told.value).splitlines()


SEVEN = """\
version: 1
sead: 7
plugins: [./tiny.py]
terms:
  word:
    use: tinny
    weight: 5e-1
  other:
    use: tiny/word
    weight: heavy
    extractor: {name: resize, options: {sise: [8, 8]}}
    weighting: aria
trainer:
  name: record
  options:
    phases:
      - {steps: 100, rate: 3e-4}
      - {stpes: 200}
    size: [8, 8.5]
"""


def test_seven_planted_mistakes_give_seven_lines(folder: Path) -> None:
    (folder / "seven.yaml").write_text(SEVEN)
    assert lines_of("seven.yaml") == [
        "seven.yaml:2: sead: expected a known key, got 'sead'. Did you mean 'seed'? "
        "Known: plugins, seed, terms, trainer, version.",
        "seven.yaml:6: terms.word.use: no term is named 'tinny'. Did you mean 'tiny'? "
        "Known: region-lpips, region-st-lpips, tiny, word.",
        'seven.yaml:10: terms.other.weight: expected a number or a mapping, got "heavy".',
        "seven.yaml:11: terms.other.extractor.options.sise: expected a known key, got 'sise'. Did you mean 'size'? "
        "Known: size.",
        "seven.yaml:12: terms.other.weighting.name: no weighting is named 'aria'. Did you mean 'area'? "
        "Known: area, score, sqrt-area, uniform.",
        "seven.yaml:18: trainer.options.phases.1.stpes: expected a known key, got 'stpes'. Did you mean 'steps'? "
        "Known: rate, steps.",
        "seven.yaml:19: trainer.options.size.1: expected an integer, got 8.5.",
    ]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("version: 1\n", "", "recipe.yaml:1: version: expected a value, got none. It has no default."),
        ("version: 1", "version: 2", "recipe.yaml:1: version: expected 1, got 2."),
        ("seed: 7", "seed: -1", "recipe.yaml:2: seed: expected a number greater than or equal to 0, got -1."),
        ("seed: 7", "seed: 7\nseed: 8", "recipe.yaml:3: seed: expected each key once, got 'seed' again."),
        ("weight: 5e-1", "weight: -1", "recipe.yaml:7: terms.word.weight: expected a number greater than or equal"),
        (
            "weight: 5e-1",
            "weight: .nan",
            "recipe.yaml:7: terms.word.weight: expected a finite number or a mapping",
        ),
        ("name: record", "name: recrod", "recipe.yaml:10: trainer.name: no trainer is named 'recrod'. Did you mean"),
        ("    use: tiny\n", "", "recipe.yaml:5: terms.word.use: expected a value, got none."),
        ("./tiny.py", "./tny.py", "recipe.yaml:3: plugins.0: tny: there is no file"),
        ("- {steps: 200}", "- 200", "recipe.yaml:14: trainer.options.phases.1: expected a mapping"),
        (RECIPE, "- 1", "recipe.yaml:1: expected a mapping"),
        (RECIPE, "", "recipe.yaml:1: trainer: expected a value, got none. It has no default."),
    ],
)
def test_a_mistake_and_its_line(folder: Path, old: str, new: str, line: str) -> None:
    (folder / "recipe.yaml").write_text(RECIPE.replace(old, new))
    assert any(found.startswith(line) for found in lines_of()), lines_of()


def test_mistakes_in_overrides_come_with_the_others(folder: Path) -> None:
    (folder / "recipe.yaml").write_text(RECIPE.replace("seed: 7", "seed: x"))
    assert lines_of("recipe.yaml", "trainer.options.phases.0.stesp=3", "nothing") == [
        'recipe.yaml:2: seed: expected an integer, got "x".',
        "override 'nothing': expected key.path=value, for example trainer.options.steps=100.",
        "override 'trainer.options.phases.0.stesp=3': trainer.options.phases.0.stesp: expected a known key, got "
        "'stesp'. Did you mean 'steps'? Known: rate, steps.",
    ]


def test_a_broken_plugin_beside_the_recipe(folder: Path) -> None:
    (folder / "tiny.py").write_text("import not_there_at_all")
    assert lines_of()[0] == ("recipe.yaml:3: plugins.0: tiny: ModuleNotFoundError: No module named 'not_there_at_all'.")


def test_an_unknown_recipe_says_which_there_are(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"^no recipe is named 'quikstart'\. "):
        load_recipe("quikstart")
    with pytest.raises(RecipeError, match=r"^absent\.yaml: expected a recipe, got no such file\. "):
        load_recipe("absent.yaml")


def test_a_file_of_terms_is_checked_as_such(folder: Path) -> None:
    (folder / "terms.yaml").write_text(RECIPE.split("trainer:")[0].replace("seed: 7\n", ""))
    assert list(load_any("terms.yaml").recipe.terms) == ["word"]
    with pytest.raises(RecipeError, match="trainer: expected a value, got none"):
        load_recipe("terms.yaml")


GIVEN = "    detector: {name: given, options: {boxes: []%s}}\n"
TAIL = "as the term reads, got 'text'. Name another detector, or the kind that this one finds."


def test_a_detector_of_another_kind_is_a_mistake_of_who_names_it(folder: Path) -> None:
    """Of the recipe, which names detector or kind; of the plugin, whose term does not fit itself."""
    recipe = RECIPE.replace("    weight: 5e-1\n", "    kind: face\n" + GIVEN % "")
    (folder / "recipe.yaml").write_text(recipe)
    assert lines_of() == [
        f"recipe.yaml:8: terms.word.detector: detector 'given': expected one that finds 'face', {TAIL}"
    ]
    (folder / "recipe.yaml").write_text(recipe.replace("boxes: []", "boxes: [], kind: face"))
    assert list(load_recipe("recipe.yaml").recipe.terms) == ["word"]
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "tiny.py").write_text((folder / "tiny.py").read_text().replace('kind="text"', 'kind="face"'))
    assert lines_of() == [f"recipe.yaml:6: terms.word.use: detector 'given': expected one that finds 'face', {TAIL}"]


def test_a_plugin_that_leaves_the_program_is_one_mistake(folder: Path) -> None:
    (folder / "leaving.py").write_text("raise SystemExit('enough')")
    (folder / "tiny.py").write_text((folder / "tiny.py").read_text().replace('"tiny:net"', '"leaving:net"'))
    (line,) = lines_of()
    assert line.startswith("recipe.yaml:5: terms.word.backbone.name: backbone 'tiny/net' (")
    assert line.endswith(f"cannot be imported: leaving: SystemExit: enough. Mend {folder / 'tiny.py'}.")


def test_two_plugins_may_have_one_kind_of_region(folder: Path) -> None:
    for name in ("one", "two"):
        source = "from regionloss import hookimpl\n@hookimpl\ndef register_region_kinds(register):\n"
        (folder / f"{name}.py").write_text(f"{source}    register('sign', summary='of {name}')\n")
    recipe = RECIPE.replace("[./tiny.py]", "[./tiny.py, ./one.py, ./two.py]").replace("weight: 5e-1", "kind: sign")
    (folder / "recipe.yaml").write_text(recipe)
    assert load_recipe("recipe.yaml").recipe.terms["word"].kind == "sign"
    (folder / "recipe.yaml").write_text(recipe.replace("kind: sign", "kind: one/sign"))
    (line,) = lines_of()
    assert line.startswith("recipe.yaml:7: terms.word.kind: no region kind is named 'one/sign'. Did you mean 'sign'?")
