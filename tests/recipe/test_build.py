"""From recipes to objects: terms, changed parts, trainers, the resolved recipe."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
import yaml

import regionloss as rl
from regionloss.errors import InputError, RecipeError
from regionloss.recipe import build_detector, build_terms, load_recipe, load_terms, resolved, train
from regionloss.recipe.build import build_detectors
from regionloss.recipe.locate import known_recipes, recipe_folders
from regionloss.recipe.run import dump
from tests.recipe.conftest import RECIPE


def batch() -> tuple[torch.Tensor, torch.Tensor, rl.Regions]:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 2, 3, 24, 32, generator=generator) * 2 - 1
    boxes = torch.tensor([[1.0, 2, 20, 12], [4, 4, 30, 20]])
    return first, second, rl.Regions("text", boxes, torch.tensor([0, 1]), (24, 32), 2)


class OneLevel(torch.nn.Conv2d):
    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [super().forward(images)]


def by_hand(channels: int = 4, size: tuple[int, int] = (6, 9), **parts: object) -> rl.RegionPerceptualLoss:
    torch.manual_seed(channels)
    backbone = rl.FeatureBackbone(OneLevel(3, channels, 3), rl.InputSpec())
    return rl.RegionPerceptualLoss(rl.ResizeExtractor(size), backbone, **parts)


def test_terms_equal_those_built_by_hand(folder: Path) -> None:
    terms = build_terms(load_recipe("recipe.yaml"))
    reconstruction, target, regions = batch()
    expected = by_hand()(reconstruction, target, regions)
    assert torch.equal(terms(reconstruction, target, {"text": regions}).total, 0.5 * expected)
    assert (terms["word"].weight, terms["word"].start_step, terms["word"].kind) == (0.5, 10, "text")


def test_options_alone_change_the_terms_own_one_by_one(folder: Path) -> None:
    change = ["terms.word.backbone.options.channels=5", "terms.word.weighting=uniform"]
    terms = build_terms(load_recipe("recipe.yaml", change))
    reconstruction, target, regions = batch()
    weighting = rl.hooks.catalogue.catalogue().build("weighting", "uniform")
    expected = by_hand(5, weighting=weighting)(reconstruction, target, regions)
    assert torch.equal(terms["word"].loss(reconstruction, target, regions), expected)


def test_another_component_starts_from_its_own_defaults(folder: Path) -> None:
    loss = build_terms(load_recipe("recipe.yaml", ["terms.word.extractor=letterbox"]))["word"].loss
    assert type(loss.extractor) is rl.LetterboxExtractor
    assert loss.extractor.size == rl.LetterboxExtractor().size


def test_a_file_of_terms(folder: Path) -> None:
    text = "version: 1\nplugins: [./tiny.py]\nterms: {word: {use: tiny/word}}\n"
    (folder / "terms.yaml").write_text(text)
    reconstruction, target, regions = batch()
    expected = by_hand()(reconstruction, target, regions)
    assert torch.equal(load_terms("terms.yaml")(reconstruction, target, regions).total, expected)
    unit = load_terms("terms.yaml", value_range=(0.0, 1.0))
    half = unit((reconstruction + 1) / 2, (target + 1) / 2, regions).total
    torch.testing.assert_close(half, expected, rtol=1e-5, atol=0)


WEIGHTS = {"core/region-lpips": 0.5, "region-st-lpips": 1.0}


@pytest.mark.parametrize(
    "terms",
    [" core/region-lpips = 0.5, region-st-lpips = 1", WEIGHTS, "terms.yaml", Path("terms.yaml"), "whole.yaml"],
    ids=["names", "weights by name", "file", "path", "recipe"],
)
def test_one_door_takes_a_file_names_or_weights_by_name(
    folder: Path, terms: str | Path | dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "\n".join(f"  {name}: {{use: {name}, weight: {weight}, kind: text}}" for name, weight in WEIGHTS.items())
    (folder / "terms.yaml").write_text(f"version: 1\nterms:\n{body}\n")
    (folder / "whole.yaml").write_text(
        f"version: 1\nterms:\n{body}\nplugins: [./tiny.py]\ntrainer: {{name: tiny/record, options: {{phases: []}}}}\n"
    )
    monkeypatch.setattr(
        "regionloss.recipe.build.build_terms", lambda loaded, **_: loaded.recipe.terms
    )  # no weights here
    found = load_terms(terms)
    assert {name: (use.use, use.weight) for name, use in found.items()} == {n: (n, w) for n, w in WEIGHTS.items()}


@pytest.mark.parametrize(
    ("terms", "options", "sentence"),
    [
        ("region-lpips=1,region-lpips=2", {}, r"^terms: expected each term once, got 'region-lpips' twice in"),
        ("region-lpips=much", {}, r"^terms: region-lpips: expected a finite weight of at least 0, got 'much'\."),
        ({"region-lpips": "1"}, {}, r"^terms: region-lpips: expected a finite weight of at least 0, got '1'\."),
        ({3: 1.0}, {}, r"^terms: expected weights by name, such as .*, got 3\."),
        ("", {}, r"^terms: expected a file of terms, a recipe, or names of terms, got ''\."),
        ("region-lpips", {"overrides": ["seed=1"]}, r"^overrides: expected none beside names of terms, got"),
        ("regoin-lpips", {}, r"^no term is named 'regoin-lpips'\. Did you mean 'region-lpips'"),
    ],
)
def test_terms_that_are_none_are_sentences(terms: object, options: dict[str, object], sentence: str) -> None:
    with pytest.raises((rl.RegionLossError, LookupError), match=sentence):
        load_terms(terms, **options)


def test_a_value_that_a_constructor_refuses_is_reported_with_its_line(folder: Path) -> None:
    loaded = load_recipe("recipe.yaml", ["terms.word.extractor.options.size=[0, 9]"])
    with pytest.raises(RecipeError, match=r"^recipe\.yaml:5: terms\.word: resize\.size: expected") as told:
        build_terms(loaded)
    assert isinstance(told.value.__cause__, InputError)


def test_the_detector_of_a_term(folder: Path) -> None:
    loaded = load_recipe("recipe.yaml", ["terms.word.detector.options.boxes=[[0, 0, 0.5, 1]]"])
    found = build_detector(loaded, "word").detect(torch.zeros(1, 3, 10, 20))
    assert found.boxes.tolist() == [[0, 0, 10, 10]]


def test_a_term_of_another_kind_has_its_regions_given(folder: Path) -> None:
    """Its own detector finds what the term was made for; the resolved recipe says so, too."""
    loaded = load_recipe("recipe.yaml", ["terms.word.kind=face"])
    assert build_detector(loaded, "word") is None
    assert build_detectors(loaded) == {}
    assert set(build_detectors(load_recipe("recipe.yaml"))) == {"text"}
    term = resolved(loaded)["recipe"]["terms"]["word"]
    assert term["kind"] == "face"
    assert "detector" not in term
    (folder / "again.yaml").write_text(dump(resolved(loaded)["recipe"]))
    assert load_recipe("again.yaml").recipe.terms["word"].kind == "face"


def test_a_detector_that_turns_out_to_be_of_another_kind(folder: Path) -> None:
    """Its class says nothing of its kind, so only building it tells."""
    (folder / "tiny.py").write_text(
        (folder / "tiny.py").read_text().replace('detector="given"', 'detector="late"')
        + """
@hookimpl
def register_detectors(register):
    register("late", "tiny:Late", licence="MIT", summary="s")


class Late:
    version = "1"

    def __init__(self, boxes: list[float]) -> None:
        self.kind = "face"
"""
    )
    loaded = load_recipe("recipe.yaml")
    for build in (lambda: build_detector(loaded, "word"), lambda: build_detectors(loaded)):
        with pytest.raises(RecipeError) as told:
            build()
        assert str(told.value) == (
            "recipe.yaml:5: terms.word.detector: detector 'late': expected one that finds 'text', as the term reads, "
            "got 'face'. Name another detector, or the kind that this one finds."
        )


def test_the_trainer_receives_the_run(folder: Path) -> None:
    train(load_recipe("recipe.yaml"), folder / "out", resume=folder)
    received = (folder / "out" / "received.txt").read_text()
    assert received == f"(Phase(steps=100, rate=0.0003), Phase(steps=200, rate=0.001)) ['word 0.5'] 7 {folder}"
    written = yaml.safe_load((folder / "out" / "resolved.yaml").read_text())
    assert written["recipe"]["seed"] == 7


def test_the_resolved_recipe_says_every_default_and_where_parts_come_from(folder: Path) -> None:
    found = resolved(load_recipe("recipe.yaml"))
    term = found["recipe"]["terms"]["word"]
    assert term["use"] == "tiny/word"
    assert term["extractor"] == {"name": "core/resize", "options": {"size": [6, 9]}}
    assert term["weighting"]["name"] == "core/area"
    assert found["recipe"]["trainer"]["options"] == {
        "phases": [{"steps": 100, "rate": 3e-4}, {"steps": 200, "rate": 1e-3}],
        "size": [8, 8],
        "note": "",
    }
    assert found["versions"]["torch"] == torch.__version__.split("+")[0]
    assert found["licences"] == ["Apache-2.0", "CC0-1.0", "MIT"]
    (net,) = [c for c in found["components"] if c["name"] == "tiny/net"]
    assert net["weights"] == [{"name": "tiny/net-file", "sha256": "ab" * 32, "licence": "CC0-1.0"}]
    assert net["version"].startswith("sha256:")


def test_the_resolved_recipe_names_the_weights_that_options_choose(folder: Path) -> None:
    found = resolved(load_recipe("recipe.yaml", ["terms.word.backbone.options.weights=other"]))
    (net,) = [c for c in found["components"] if c["name"] == "tiny/net"]
    assert net["weights"] == [{"name": "tiny/other", "sha256": "cd" * 32, "licence": "MIT"}]


def test_the_resolved_recipe_names_a_file_of_weights_by_its_path_and_hash(folder: Path) -> None:
    (folder / "mine.pth").write_bytes(b"weights")
    found = resolved(load_recipe("recipe.yaml", ["terms.word.backbone.options.weights=mine.pth"]))
    (net,) = [c for c in found["components"] if c["name"] == "tiny/net"]
    assert net["weights"] == [
        {"name": "mine.pth", "sha256": hashlib.sha256(b"weights").hexdigest(), "licence": "not stated"}
    ]


def test_the_resolved_recipe_is_a_recipe_that_resolves_to_itself(folder: Path) -> None:
    first = resolved(load_recipe("recipe.yaml"))
    (folder / "again.yaml").write_text(dump(first["recipe"]))
    second = resolved(load_recipe("again.yaml"))
    assert second["recipe"] == first["recipe"]
    assert second["components"] == first["components"]


def test_recipes_are_found_by_name(folder: Path) -> None:
    assert recipe_folders(), "a checkout has recipes/, a wheel regionloss/_recipes"
    for name, path in known_recipes().items():
        assert path.stem == name.split("/")[-1]


@pytest.mark.parametrize("name", sorted(known_recipes()))
def test_every_shipped_recipe_is_valid(name: str) -> None:
    assert resolved(load_recipe(name))["recipe"]["version"] == 1


def test_loading_a_recipe_fixes_nothing_in_place(folder: Path) -> None:
    load_recipe("recipe.yaml", ["seed=3"])
    assert (folder / "recipe.yaml").read_text() == RECIPE
