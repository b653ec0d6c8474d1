"""Plausible mistakes in a HostSpec and in `bind_batch`: each a sentence, or made right."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regionloss as rl
from tests.helpers import images, text_loss, text_regions
from tests.hosts.doubles import MaskBit
from tests.hosts.test_known_hosts import make_terms


class Plain(nn.Module):
    def forward(self, images: Tensor, decoded: Tensor, step: Any = 0, turn: str = "generator") -> Any:
        return (images - decoded).abs().mean(), {}


def pair() -> tuple[Tensor, Tensor]:
    return images(3, dtype=torch.float32), images(3, dtype=torch.float32, seed=1)


def test_a_turn_compares_whole_values() -> None:
    turn = rl.Turn("mode", "generator")
    assert turn.generator == ("generator",)
    assert turn({"mode": "generator"})
    assert not turn({"mode": "gen"})
    assert rl.Turn("optimizer_idx", 0)({"optimizer_idx": 0})
    assert not rl.Turn("optimizer_idx", 0)({"optimizer_idx": 1})
    assert rl.Turn("optimizer_idx", [0, 2]).generator == (0, 2)
    spec = rl.HostSpec("inputs", "reconstructions", is_generator=rl.Turn("mode", "gen"), value_range=(0, 1))
    wrapped = rl.wrap(MaskBit(), spec, make_terms())
    x = (pair()[0] + 1) / 2
    weight = torch.ones(1, requires_grad=True)
    with rl.use_regions(text_regions()):
        _, logs = wrapped(x, x * weight, {"quantizer_loss": 0.1}, 5, None, mode="gen")
        _, critic = wrapped(x, x * weight, {"quantizer_loss": 0.1}, 5, None, mode="ge")
    assert "region/total" in logs
    assert "region/total" not in critic
    for wrong, part in ((("mode", ()), "values of the generator's turn"), ((0, "mode"), "Turn.argument")):
        with pytest.raises(rl.RegionLossError, match=part):
            rl.Turn(*wrong)


def test_names_may_come_in_lists() -> None:
    spec = rl.HostSpec("images", ["decoded"], parameters=["images", "decoded"])
    assert spec.parameters == ("images", "decoded")
    assert spec.reconstructions == ("decoded",)
    assert spec == rl.HostSpec("images", "decoded", parameters=("images", "decoded"))
    assert rl.HostSpec("images", "decoded", parameters="images").parameters == ("images",)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"log_prefix": "{}/"}, r"HostSpec.log_prefix: expected text such as '\{split\}/', got '\{\}/'"),
        ({"log_prefix": "{turn"}, "HostSpec.log_prefix"),
        ({"log_prefix": "{0}/"}, "HostSpec.log_prefix"),
        ({"log_prefix": 3}, "HostSpec.log_prefix"),
        ({"reconstruction": "images"}, "HostSpec.reconstruction: expected another parameter than the target"),
        ({"parameters": [1]}, "HostSpec.parameters: expected a name"),
        ({"reconstruction": ()}, "HostSpec.reconstruction"),
        ({"target": None}, "HostSpec.target"),
        ({"step": 5}, "HostSpec.step"),
        ({"adaptive_weight": lambda nll: nll}, "HostSpec.adaptive_weight"),
        ({"is_generator": "generator"}, r"HostSpec.is_generator: .*Turn\('optimizer_idx', 0\)"),
    ],
)
def test_a_specification_that_cannot_be_read_is_a_sentence(options: dict[str, Any], part: str) -> None:
    with pytest.raises(rl.RegionLossError, match=part):
        rl.HostSpec(**{"target": "images", "reconstruction": "decoded", **options})


def test_a_prefix_names_parameters_of_the_host() -> None:
    with pytest.raises(rl.RegionLossError, match="none named split"):
        rl.wrap(Plain(), rl.HostSpec("images", "decoded", log_prefix="{split}/"), make_terms())
    wrapped = rl.wrap(Plain(), rl.HostSpec("images", "decoded", log_prefix="{turn:04d}{{x}}/"), make_terms())
    with rl.use_regions(text_regions()):
        assert "0007{x}/region/total" in wrapped(*pair(), turn=7)[1]
        with pytest.raises(rl.RegionLossError, match="arguments that fit"):
            wrapped(*pair(), turn="text")


def test_a_function_that_asks_for_another_argument_is_a_sentence() -> None:
    spec = rl.HostSpec("images", "decoded", is_generator=lambda call: call["turns"] == "generator")
    with rl.use_regions(text_regions()), pytest.raises(rl.RegionLossError, match="Did you mean 'turn'"):
        rl.wrap(Plain(), spec, make_terms())(*pair())


@pytest.mark.parametrize("step", ["five", "5", float("nan"), float("inf"), 2.5, [1], torch.zeros(2)])
def test_a_step_that_is_no_number_is_a_sentence(step: Any) -> None:
    wrapped = rl.wrap(Plain(), rl.HostSpec("images", "decoded", step="step"), make_terms())
    with rl.use_regions(text_regions()), pytest.raises(rl.RegionLossError, match="Plain: step: expected a training"):
        wrapped(*pair(), step=step)


def test_an_adaptive_weight_that_takes_no_loss_is_a_sentence() -> None:
    class Odd(Plain):
        factor = 0.8

        def calculate_adaptive_weight(self) -> float:
            return self.factor

        @staticmethod
        def weigh(nll: Tensor, g_loss: Tensor) -> Tensor:
            return nll

    with rl.use_regions(text_regions()):
        rl.wrap(Odd(), rl.HostSpec("images", "decoded"), make_terms())(*pair())  # nobody asks for it
    for name in ("calculate_adaptive_weight", "weigh", "factor", "nowhere"):
        with pytest.raises(rl.RegionLossError, match=rf"a method {name}\(self, nll, ...\)"):
            rl.wrap(Odd(), rl.HostSpec("images", "decoded", adaptive_weight=name), make_terms(), in_nll=True)


def test_steps_that_take_no_batch_are_a_sentence() -> None:
    class Empty:
        def training_step(self) -> int:
            return 1

    class Static:
        @staticmethod
        def training_step(batch: Any, batch_idx: int) -> int:
            return batch_idx

    class Anything:
        def training_step(self, *args: Any, **kwargs: Any) -> int:
            return len(args) + len(kwargs)

    for model in (Empty(), Static()):
        with pytest.raises(rl.RegionLossError, match=r"training_step: expected a method \(self, batch, ...\)"):
            rl.bind_batch(model)
    assert rl.bind_batch(Anything()).training_step({"regions": None}, 0) == 2


def test_a_validation_batch_without_regions_keeps_terms_of_whole_images() -> None:
    class Model:
        def __init__(self) -> None:
            whole = rl.LossTerms({"all": rl.Term(text_loss(), "whole_image", 2.0)})
            self.loss = rl.wrap(Plain(), rl.HostSpec("images", "decoded"), whole)

        def training_step(self, batch: Any) -> Tensor:
            return self.loss(*batch["pair"])[0]

        def validation_step(self, batch: Any) -> Tensor:
            return self.loss(*batch["pair"])[0]

    model, plain = rl.bind_batch(Model()), Plain()(*pair())[0]
    assert model.validation_step({"pair": pair()}) > plain
    assert torch.equal(model.validation_step({"pair": pair(), "regions": None}), plain)
