"""Discriminators and losses of a plugin beside the recipe, by name, through a whole run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from insighttok_ref.objective.adversarial import AdversarialOptions, Adversary, PatchGAN
from insighttok_ref.objective.objective import Objective, ObjectiveOptions
from insighttok_ref.tokenizers.insighttok.model import TokenizerOutput
from regionloss.errors import InputError, RecipeError
from regionloss.hooks.catalogue import build_catalogue
from regionloss.recipe import load_recipe, train

TRAINER = Path(__file__).parents[1] / "trainers/tokenizer"
OPTIONS = "trainer.options."
SHORT = [f"{OPTIONS}phases.{number}.steps=2" for number in range(3)]
PLUGIN = '''
from torch import nn
from regionloss import hookimpl


class Far:
    """Mean square of what rounding to codes has lost, over a margin."""

    def __init__(self, margin: float = 0.0) -> None:
        self.margin = margin

    def __call__(self, output, target, regions):
        return ((output.latents - output.quantized.detach()).square().mean() - self.margin).relu()


class Mean(nn.Module):
    """One logit an image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.line = nn.Linear(3, width)

    def forward(self, images):
        return self.line(images.mean((2, 3))).mean(1)


@hookimpl
def register_losses(register) -> None:
    register("far", f"{__name__}:Far", summary="latents near their codes")


@hookimpl
def register_discriminators(register) -> None:
    register("mean", f"{__name__}:Mean", summary="one logit an image")
'''


def phases(folder: Path) -> Path:
    (folder / "mine.py").write_text(PLUGIN)
    (folder / "tiny_plugin.py").write_text((TRAINER / "tiny_plugin.py").read_text())
    text = (TRAINER / "tiny_phases.yaml").read_text().replace("[./tiny_plugin.py]", "[./tiny_plugin.py, ./mine.py]")
    (folder / "r.yaml").write_text(text)
    return folder / "r.yaml"


def test_a_recipe_trains_with_a_loss_of_latents_and_a_discriminator_of_its_own_plugin(tmp_path: Path) -> None:
    objective = f"{OPTIONS}objective."
    extra = f"{objective}extra={{far: {{use: far, weight: 0.5, options: {{margin: 0.0001}}}}}}"
    opponent = f"{objective}adversarial={{use: mine/mean, options: {{width: 2}}, weight: 0.1}}"
    train(load_recipe(phases(tmp_path), [extra, opponent, *SHORT]), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    first = next(line for line in lines if "loss/total" in line)
    assert first["loss/far"] > 0
    wanted = first["loss/l1"] + first["loss/commitment"] + 0.5 * first["loss/far"] + 0.1 * first["loss/adversarial"]
    assert first["loss/total"] == pytest.approx(wanted, rel=1e-4)
    left = load_file(tmp_path / "run/decoder/adversary.safetensors")
    assert {name for name in left if "discriminator" in name} == {
        "discriminator.line.weight",
        "discriminator.line.bias",
    }


def test_an_extra_loss_sees_the_latents_and_reaches_them(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    z = torch.tensor([[0.5, -1.0]], requires_grad=True)
    image = torch.zeros(1, 3, 4, 4)
    with build_catalogue(files=[tmp_path / "mine.py"]).in_use():
        options = ObjectiveOptions.model_validate({"extra": {"far": {"use": "far", "weight": 3.0}}})
        losses = Objective(options)(TokenizerOutput(image, torch.zeros(()), torch.zeros(1, 1), z, z * 0), image, {})
        with pytest.raises(InputError, match=r"objective\.extra\.l1: expected a name that no other part"):
            Objective(ObjectiveOptions.model_validate({"extra": {"l1": {"use": "far"}}}))
    assert float(losses.parts["far"].detach()) == pytest.approx(0.625)
    assert float(losses.total.detach()) == pytest.approx(1.875)
    assert torch.autograd.grad(losses.total, z)[0].tolist() == [[1.5, -3.0]]


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("extra={far: {use: fra}}", "no loss is named 'fra'. Did you mean 'far'"),
        ("extra={far: {use: far, options: {magrin: 1}}}", "options.magrin: expected a known key, got 'magrin'"),
        ("adversarial={use: patchgna}", "no discriminator is named 'patchgna'. Did you mean 'patchgan'"),
        ("adversarial={use: mean}", "options.width: expected a value, got none"),
    ],
)
def test_mistakes_in_names_are_found_before_a_run(tmp_path: Path, key: str, sentence: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(phases(tmp_path), [f"{OPTIONS}objective.{key}"])
    assert sentence in str(caught.value)


def test_the_default_discriminator_is_the_one_of_its_name() -> None:
    given = [{"ndf": 4, "layers": 1}, {"ndf": 4, "layers": 1, "use": "insighttok/patchgan"}]
    made = [Adversary(AdversarialOptions.model_validate(options)) for options in given]
    assert all(isinstance(one.discriminator, PatchGAN) for one in made)
    assert len({tuple(one.state_dict()) for one in made}) == 1
    assert made[1].discriminator[0].out_channels == 4
