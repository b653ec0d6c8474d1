"""The resolved recipe lists what a run uses beside its terms."""

from __future__ import annotations

from pathlib import Path

from regionloss.recipe import load_recipe, resolved

OPTIONS = "trainer.options."
TESTED = f"{OPTIONS}data.sources.plain.test=1"
RECIPE = Path(__file__).with_name("tiny_phases.yaml")
PLUGIN = """
from regionloss import hookimpl


def loss(margin: float = 0.0):
    return lambda output, target, regions: output.commit_loss


@hookimpl
def register_losses(register) -> None:
    register("far", f"{__name__}:loss", licence="MIT", summary="a loss")


@hookimpl
def register_judges(register) -> None:
    register("absent", "no_such_package:Judge", summary="cannot be imported")
"""


def listed(*overrides: str) -> dict[str, dict[str, dict[str, object]]]:
    """Return components by kind and name."""
    by_kind: dict[str, dict[str, dict[str, object]]] = {}
    for part in resolved(load_recipe(RECIPE, overrides))["components"]:
        by_kind.setdefault(part["kind"], {})[part["name"]] = part
    return by_kind


def test_the_tokenizer_s_parts_and_the_objective_s_are_listed_by_name() -> None:
    found = listed(f"{OPTIONS}evaluation.judges={{text: text/ppocr-v6}}", TESTED)
    for kind, name in (
        ("tokenizer", "insighttok/insighttok"),
        ("quantizer", "insighttok/ema"),
        ("discriminator", "insighttok/patchgan"),
        ("judge", "text/ppocr-v6"),
    ):
        assert list(found[kind]) == [name]
        assert found[kind][name]["licence"] == "Apache-2.0"
    fsq = f"{OPTIONS}model={{preset: miniature, codebook_size: 64, quantizer: {{use: fsq, levels: [4, 4, 4]}}}}"
    assert list(listed(fsq)["quantizer"]) == ["insighttok/fsq"]
    assert "discriminator" not in listed(f"{OPTIONS}objective={{l1: 1.0}}")


def test_the_perceptual_backbone_comes_with_its_weights_and_their_hashes() -> None:
    use = f"{OPTIONS}objective.perceptual={{use: st-lpips-alex}}"
    weights = listed(use)["backbone"]["core/st-lpips-alex"]["weights"]
    assert [len(str(file["sha256"])) for file in weights] == [64] * len(weights) != []
    assert all(file["licence"] for file in weights)


def test_losses_of_a_plugin_are_listed_and_what_cannot_be_imported_is_not(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    objective = f"{OPTIONS}objective.extra={{mine: {{use: far, options: {{margin: 0.1}}}}}}"
    plugins = f"plugins=[{RECIPE.with_name('tiny_plugin.py')}, {tmp_path / 'mine.py'}]"
    found = listed(plugins, objective, f"{OPTIONS}evaluation.judges={{face: absent}}", TESTED)
    assert found["loss"]["mine/far"]["licence"] == "MIT"
    assert "judge" not in found
