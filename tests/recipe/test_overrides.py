"""`key.path=value`."""

from __future__ import annotations

import pytest

from regionloss.recipe.overrides import override
from regionloss.recipe.source import WrittenRecipe, parse_yaml

TEXT = "seed: 1\ntrainer:\n  options:\n    phases:\n      - {steps: 1}\n      - {steps: 2}\n    names: {'3': x}\n"


def changed(*overrides: str) -> WrittenRecipe:
    return override(parse_yaml(TEXT, "r.yaml"), overrides)


def test_values_are_yaml_and_numbers_index_lists() -> None:
    source = changed("seed=9", "trainer.options.phases.1.rate=3e-4", "trainer.options.size=[8, 9]", "terms.a.b=c")
    options = source.data["trainer"]["options"]
    assert source.data["seed"] == 9
    assert options["phases"] == [{"steps": 1}, {"steps": 2, "rate": 3e-4}]
    assert options["size"] == [8, 9]
    assert source.data["terms"] == {"a": {"b": "c"}}
    assert not source.problems


def test_the_last_one_wins_and_the_file_is_left_alone() -> None:
    source = parse_yaml(TEXT, "r.yaml")
    assert override(source, ["seed=2", "seed=3"]).data["seed"] == 3
    assert source.data["seed"] == 1


def test_a_number_may_be_a_key() -> None:
    assert changed("trainer.options.names.3=y").data["trainer"]["options"]["names"] == {"3": "y"}


def test_what_was_overridden_is_reported_at_the_override() -> None:
    source = changed("trainer.options.phases=[{stps: 3}]")
    path = ("trainer", "options", "phases", 0, "stps")
    assert source.place(path) == "override 'trainer.options.phases=[{stps: 3}]'"
    assert source.place(("trainer", "options", "names")) == "r.yaml:7"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed", "expected key.path=value, for example trainer.options.steps=100."),
        ("=3", "expected key.path=value, for example trainer.options.steps=100."),
        ("a..b=3", "expected key.path=value, for example trainer.options.steps=100."),
        ("seed=[1", "expected a value in YAML, got '[1'. Put it in quotes?"),
        ("seed.x=1", "expected a mapping at seed, got 1."),
        ("trainer.options.phases.2.steps=1", "expected an index below 2 in trainer.options.phases, got '2'."),
        ("trainer.options.phases.steps=1", "expected an index below 2 in trainer.options.phases, got 'steps'."),
    ],
)
def test_mistakes_in_overrides(text: str, sentence: str) -> None:
    assert changed(text).problems == (f"override '{text}': {sentence}",)


def test_a_short_path_is_an_option_of_the_trainer() -> None:
    source = changed("data.images=./photos", "phases.1.steps=7", "seed=4")
    assert source.data["trainer"]["options"]["data"] == {"images": "./photos"}
    assert source.data["trainer"]["options"]["phases"][1] == {"steps": 7}
    assert source.data["seed"] == 4
    assert "data" not in source.data
    assert source.place(("trainer", "options", "data", "images")) == "override 'data.images=./photos'"


def test_a_file_of_terms_has_no_trainer_for_short_paths() -> None:
    assert override(parse_yaml("terms: {}", "t.yaml"), ["steps=3"]).data == {"terms": {}, "steps": 3}


@pytest.mark.parametrize("weight", ["auto", 0.02, 3])
def test_a_term_and_its_weight_in_one(weight: object) -> None:
    source = parse_yaml("terms: {text: {use: text/packaged, backbone: x, weight: 1}}\ntrainer: {}", "r.yaml")
    terms = override(source, [f"terms.hands={weight}", f"terms.text={weight}"]).data["terms"]
    assert terms["hands"] == {"use": "hands", "weight": weight}
    assert terms["text"] == {"use": "text/packaged", "backbone": "x", "weight": weight}
