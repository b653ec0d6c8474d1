"""What is no recipe, however it is written: a sentence, in a file, in an override and in a resolved recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from regionloss.errors import RecipeError
from regionloss.recipe.load import load_any, load_begun, load_recipe
from regionloss.recipe.locate import find_recipe
from regionloss.recipe.overrides import override
from regionloss.recipe.source import RECIPE, RESOLVED, parse_yaml
from tests.recipe.conftest import RECIPE as TEXT


def bomb(leaf: str, opened: str = "[", closed: str = "]", key: str = "") -> str:
    """Twelve lists or mappings, each nine times the one before: 9 ** 12 leaves in a few lines."""
    lines = [f"a0: &a0 {leaf}"]
    for level in range(1, 13):
        members = ",".join(f"{key.format(number)}*a{level - 1}" for number in range(9))
        lines.append(f"a{level}: &a{level} {opened}{members}{closed}")
    return "\n".join(lines)


LEVELS = "at most 50 levels of keys and lists inside one another, got more"
VALUES = "at most 10000 values with each alias written out, got more"
CHARACTERS = "at most 500000 characters with each alias written out, got more"
BITS = "an integer of at most 64 bits, got "
PLAIN = "plain data, got the tag "
UNWRITABLE = "text without NUL and halves of characters, got "
#: Name -> what stands as a value, and what is said.
VALUE = {
    "deep list": ("[" * 100_000, LEVELS),
    "deep list that is closed": ("[" * 60 + "]" * 60, LEVELS),
    "deep mapping": ("{a: " * 5_000, LEVELS),
    "5,000 digits": ("1" * 5_000, BITS + "1" * 50),
    "5,000 hexadecimal digits": ("0x" + "f" * 5_000, BITS + "0xfff"),
    "65 bits": ("18446744073709551616", BITS + "18446744073709551616"),
    "a number too large for a float": ("1e400", "a number below 1.8e308, got 1e400"),
    "tag of an integer": ("!!int x", "a value of the tag '!!int', got \"x\""),
    "tag of a float": ("!!float ''", "a value of the tag '!!float', got \"\""),
    "tag of a boolean": ("!!bool yes", "a value of the tag '!!bool', got \"yes\""),
    "tag on a list": ("!!int [1]", PLAIN + "'!!int'"),
    "tag of an object": ("!!python/object/apply:os.getcwd []", PLAIN + "'!!python/object/apply:os.getcwd'"),
    "own tag": ("!mine 1", PLAIN + "'!mine'"),
    "NUL": (r'"a\0b"', UNWRITABLE + r'"a\u0000b"'),
    "half of a character": (r'"\ud800"', UNWRITABLE + r'"\ud800"'),
    "key that is a list": ("{? [a] : 1}", "a text as key, got a list or a mapping"),
}
#: The same for whole files.
WHOLE = {
    "bomb of lists": (bomb("[x]"), VALUES),
    "bomb of mappings": (bomb("{x: 1}", "{", "}", "k{}: "), VALUES),
    "few aliases of a long text": (f"a: &a {'x' * 9_000}\nb: [{','.join(['*a'] * 200)}]", CHARACTERS),
    "aliases that deepen": (
        "\n".join(f"a{n}: &a{n} {'[' * 40}{f'*a{n - 1}' if n else ''}{']' * 40}" for n in range(3)),
        LEVELS,
    ),
    "many values": ("[" + "1," * 20_000 + "]", VALUES),
    "long text": ("x" * 600_000, CHARACTERS),
    "number of a character that there is not": (r'a: "\U00110000"', "expected YAML, got a mistake: "),
    "number of a character beyond C": (r'a: "\UFFFFFFFF"', "expected YAML, got a mistake: "),
    "version of 5,000 digits": ("%YAML " + "9" * 5_000 + ".1\n---\na: 1", "expected YAML, got a mistake: "),
}


@pytest.mark.parametrize(("text", "said"), [*WHOLE.values(), *((f"a: {text}", said) for text, said in VALUE.values())])
def test_a_file_beyond_bounds_is_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"r\.yaml(:\d+)?: expected ") as told:
        load_any(tmp_path / "r.yaml")
    assert said in str(told.value)
    assert len(str(told.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize(("text", "said"), VALUE.values(), ids=VALUE)
def test_an_override_beyond_bounds_is_a_sentence(text: str, said: str) -> None:
    (problem,) = override(parse_yaml("a: 1", "r"), [f"a={text}"]).problems
    assert problem.startswith(f"override 'a={text}': expected " if len(text) < 90 else "override 'a=")
    assert said in problem or LEVELS.replace("50", "49") in problem
    assert len(problem) < 400


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (".".join("a" * 5_000) + "=1", "expected at most 50 keys in a path, got 5000."),
        (".".join("b" * 30) + "=" + "[" * 30 + "]" * 30, "expected at most 20 levels"),
        ("list." + "9" * 5_000 + "=1", "expected an index below 2 in list, got '999"),
        ("list.²=1", "expected an index below 2 in list, got '²'."),
        ("a\0=1", "expected a key without NUL"),
        ("a.\ud800=1", "expected a key without NUL"),
    ],
)
def test_a_path_of_an_override_beyond_bounds_is_a_sentence(text: str, said: str) -> None:
    (problem,) = override(parse_yaml("list: [1, 2]", "r"), [text]).problems
    assert said in problem
    assert len(problem) < 400


@pytest.mark.parametrize(("text", "said"), [*WHOLE.values(), *((f"a: {text}", said) for text, said in VALUE.values())])
def test_a_resolved_recipe_beyond_bounds_is_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "resolved.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"resolved\.yaml(:\d+)?: expected "):
        load_begun(tmp_path)


def test_what_a_recipe_may_be_its_resolved_recipe_may_be_too() -> None:
    at_most = "[" * RECIPE.levels + "1" + "]" * RECIPE.levels
    assert parse_yaml(at_most, "r").data
    assert parse_yaml(f"recipe: {{trainer: {{options: {at_most}}}}}", "r", RESOLVED).data


@pytest.mark.parametrize(
    "value", ["18446744073709551615", "-9223372036854775808", "0x1F", "!!int 5", "!!str 5", "!!float 1", ".inf"]
)
def test_what_is_within_bounds_is_read(value: str) -> None:
    assert parse_yaml(f"a: {value}", "r").data["a"] in (2**64 - 1, -(2**63), 31, 5, "5", 1.0, float("inf"))


def test_long_digits_that_are_no_number_are_read_at_once() -> None:
    """With a pattern that can share digits between two of its parts this takes minutes."""
    text = "1" * 100_000 + "x"
    assert parse_yaml(f"a: {text}", "r").data == {"a": text}


@pytest.mark.parametrize("name", ["a\0b", "a\0b.yaml", "x" * 5_000, "x" * 5_000 + ".yaml"])
def test_what_cannot_be_a_path_is_no_recipe(name: str) -> None:
    with pytest.raises(RecipeError, match=r"no such file|no recipe is named"):
        find_recipe(name)


def test_what_cannot_be_a_path_is_no_plugin(folder: Path) -> None:
    (folder / "loop.py").symlink_to("loop.py")
    for plugin in ("x" * 5_000 + ".py", "loop.py", "."):
        (folder / "recipe.yaml").write_text(TEXT.replace("./tiny.py", plugin))
        with pytest.raises(RecipeError, match=r"^recipe\.yaml:3: plugins\.0: .*there is no file"):
            load_recipe("recipe.yaml")


def test_a_seed_is_one_that_torch_takes(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"seed: expected a number less than 9223372036854775808, got"):
        load_recipe("recipe.yaml", ["seed=9223372036854775808"])
    assert load_recipe("recipe.yaml", ["seed=9223372036854775807"]).recipe.seed == 2**63 - 1
