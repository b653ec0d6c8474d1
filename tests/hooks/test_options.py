"""A constructor's signature as a schema: plain values, nested dataclasses and models, unions, objects."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal, Protocol

import pytest
from pydantic import BaseModel, Field, model_validator

from regionloss.hooks.options import checked_options


@dataclasses.dataclass(frozen=True)
class Phase:
    steps: int
    rate: float = 1e-3
    mode: Literal["cosine", "constant"] = "cosine"


class Data(BaseModel):
    folder: Path
    share: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def not_the_root(self) -> Data:
        if str(self.folder) == "/":
            raise ValueError("expected a folder of images, got the root. Name one inside.")
        return self


class Speaks(Protocol):
    def speak(self) -> str: ...


class Target:
    def __init__(
        self,
        size: tuple[int, int],
        phases: tuple[Phase, ...] = (),
        data: Data | None = None,
        mixed: int | list[int] | Phase = 3,
        names: dict[str, Phase] | None = None,
        copy: bool = False,
        schema: str = "",
        voice: Speaks | None = None,
        unknown: NotImportedHere = 1,  # noqa: F821
    ) -> None:
        pass


def problems(**options: object) -> list[str]:
    return [str(problem) for problem in checked_options(Target, options)[1]]


def test_values_are_converted_as_annotated() -> None:
    values, wrong = checked_options(
        Target,
        {
            "size": [32, 128],
            "phases": [{"steps": 3, "rate": 1}],
            "data": {"folder": "a/b"},
            "names": {"x": {"steps": 1}},
            "copy": True,
            "schema": "any",
            "unknown": [1],
        },
    )
    assert not wrong
    assert values["size"] == (32, 128)
    assert values["phases"] == (Phase(3, 1.0),)
    assert values["data"] == Data(folder=Path("a/b"))
    assert values["names"] == {"x": Phase(1)}
    assert (values["copy"], values["schema"], values["unknown"]) == (True, "any", [1])
    assert "mixed" not in values


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sise": 1, "size": [1, 2]}, "sise: expected a known key, got 'sise'. Did you mean 'size'?"),
        ({}, "size: expected a value, got none. It has no default."),
        ({"size": [1, 2, 3]}, "size: expected at most 2 items, got [1, 2, 3]."),
        ({"size": ["1", 2]}, 'size.0: expected an integer, got "1".'),
        ({"size": [True, 2]}, "size.0: expected an integer, got true."),
        ({"size": [1.5, 2]}, "size.0: expected an integer, got 1.5."),
        ({"size": [1, 2], "copy": "yes"}, 'copy: expected true or false, got "yes".'),
        ({"size": [1, 2], "schema": 3}, "schema: expected a text, got 3."),
        (
            {"size": [1, 2], "phases": [{"steps": 1}, {"stesp": 2}]},
            "phases.1.stesp: expected a known key, got 'stesp'. Did you mean 'steps'? Known: mode, rate, steps.",
        ),
        (
            {"size": [1, 2], "phases": [{"steps": 1, "mode": "cosin"}]},
            "phases.0.mode: expected 'cosine' or 'constant', got \"cosin\". Did you mean 'cosine'?",
        ),
        (
            {"size": [1, 2], "data": {"folder": "a", "share": 2}},
            "data.share: expected a number less than or equal to 1, got 2.",
        ),
        (
            {"size": [1, 2], "data": {"folder": "/"}},
            "data: expected a folder of images, got the root. Name one inside.",
        ),
        ({"size": [1, 2], "mixed": [1, "x"]}, 'mixed.1: expected an integer, got "x".'),
        (
            {"size": [1, 2], "mixed": {"stpes": 1}},
            "mixed.stpes: expected a known key, got 'stpes'. Did you mean 'steps'?",
        ),
        (
            {"size": [1, 2], "names": {"x": {"step": 1}}},
            "names.x.step: expected a known key, got 'step'. Did you mean 'steps'?",
        ),
        (
            {"size": [1, 2], "unknwon": object()},
            "unknwon: expected a known key, got 'unknwon'. Did you mean 'unknown'?",
        ),
    ],
)
def test_a_mistake_is_one_sentence_at_its_path(options: dict[str, object], sentence: str) -> None:
    (found,) = problems(**options)
    assert found.startswith(sentence)


def test_all_mistakes_come_at_once() -> None:
    found = problems(size=[1], phases=[{"steps": "x"}], copy=1, skema="")
    assert [line.split(":")[0] for line in found] == ["size.1", "phases.0.steps", "copy", "skema"]


def test_objects_pass_and_open_ended_constructors_take_anything() -> None:
    voice = object()
    values, wrong = checked_options(Target, {"size": [1, 2], "voice": voice})
    assert not wrong
    assert values["voice"] is voice

    def open_ended(first: int, **rest: object) -> None:
        pass

    assert checked_options(open_ended, {"first": 1, "other": [2]}) == ({"first": 1, "other": [2]}, [])
    assert [str(p) for p in checked_options(open_ended, {"first": "1"})[1]] == ['first: expected an integer, got "1".']
