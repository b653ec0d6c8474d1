"""Losses against plain loops over pixels."""

from __future__ import annotations

import warnings

import pytest
import torch
from pydantic import ValidationError

from insighttok_ref.objective.adversarial import Adversary
from insighttok_ref.objective.extra import ExtraOptions
from insighttok_ref.objective.objective import Objective, ObjectiveOptions
from insighttok_ref.objective.reconstruction import edges, l1, l2
from insighttok_ref.tokenizers.insighttok.model import TokenizerOutput
from regionloss import LossTerms, RegionPerceptualLoss, Regions, ResizeExtractor, Term
from regionloss.backbones.base import FeatureBackbone
from regionloss.backbones.input_spec import InputSpec
from regionloss.errors import InputError
from regionloss.losses import terms as terms_module


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return tuple(torch.rand(2, 2, 3, 6, 5, generator=generator, dtype=torch.float64) * 2 - 1)


def test_pixel_losses_equal_loops() -> None:
    x, y = pair()
    errors = [float(a - b) for a, b in zip(x.flatten(), y.flatten(), strict=True)]
    assert float(l1(x, y)) == pytest.approx(sum(map(abs, errors)) / len(errors), abs=1e-12)
    assert float(l2(x, y)) == pytest.approx(sum(e * e for e in errors) / len(errors), abs=1e-12)


def test_edges_equal_a_loop() -> None:
    x, y = pair()
    down, right = [], []
    for b in range(2):
        for c in range(3):
            for i in range(6):
                for j in range(5):
                    if i < 5:
                        step = (x[b, c, i + 1, j] - x[b, c, i, j]) - (y[b, c, i + 1, j] - y[b, c, i, j])
                        down.append(abs(float(step)))
                    if j < 4:
                        step = (x[b, c, i, j + 1] - x[b, c, i, j]) - (y[b, c, i, j + 1] - y[b, c, i, j])
                        right.append(abs(float(step)))
    assert float(edges(x, y)) == pytest.approx(sum(down) / len(down) + sum(right) / len(right), abs=1e-12)
    assert float(edges(x + 0.3, x)) == pytest.approx(0, abs=1e-12)


class Grey(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [images.mean(1, keepdim=True)]


def term(weight: float) -> Term:
    loss = RegionPerceptualLoss(ResizeExtractor(size=(4, 4)), FeatureBackbone(Grey(), InputSpec()))
    return Term(loss, "text", weight)


def test_total_is_the_weighted_sum_of_named_parts() -> None:
    x, y = (image.float() for image in pair())
    regions = {"text": Regions("text", torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([1]), (6, 5))}
    options = ObjectiveOptions(l1=0.5, l2=2.0, edges=0.25, commitment=3.0)
    objective = Objective(options, LossTerms({"words": term(7.0)}), LossTerms({"seen": term(11.0)}))
    output = TokenizerOutput(x, torch.tensor(0.125), torch.zeros(2, 1))
    losses = objective(output, y, regions)
    wanted = {"l1": l1(x, y), "l2": l2(x, y), "edges": edges(x, y), "commitment": torch.tensor(0.125)}
    assert losses.parts.keys() == {*wanted, "words"}
    weights = {**options.model_dump(), "words": 7.0}
    total = sum(weights[name] * float(value) for name, value in losses.parts.items())
    assert float(losses.total) == pytest.approx(total, rel=1e-6)
    watched = objective.watch(output, y, regions)
    assert float(watched["seen"]) == pytest.approx(float(losses.parts["words"]), rel=1e-6)
    assert float(watched["seen"]) > 0


def test_what_is_only_watched_asks_for_no_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a first phase, whose data have none; of a term that is trained there, the warning speaks."""
    monkeypatch.setattr(terms_module, "SILENT_STEPS", 3)
    x, y = (image.float() for image in pair())
    output = TokenizerOutput(x, torch.tensor(0.0), torch.zeros(2, 1))
    objective = Objective(ObjectiveOptions(), LossTerms({"words": term(1.0)}), LossTerms({"seen": term(1.0)}))
    others = {"face": Regions("face", torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([1]), (6, 5))}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for regions in ({}, {}, others, {}):
            assert float(objective.watch(output, y, regions)["seen"]) == 0
        for _ in range(2):
            objective(output, y, {"text": Regions.empty("text", (6, 5))})
    with pytest.warns(UserWarning, match="term 'words': no region of kind 'text' in 3 steps"):
        objective(output, y, {})


def test_parts_without_weight_are_left_out() -> None:
    x, y = pair()
    losses = Objective(ObjectiveOptions())(TokenizerOutput(x, torch.zeros(()), torch.zeros(2, 1)), y, {})
    assert losses.parts.keys() == {"l1", "commitment"}


def test_negative_weights_are_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        ObjectiveOptions(edges=-1)


def test_the_adversary_counts_only_while_it_is_listened_to() -> None:
    options = ObjectiveOptions.model_validate({"adversarial": {"weight": 0.25, "ndf": 4, "layers": 1, "norm": "group"}})
    assert options.adversarial is not None
    y, x = torch.rand(2, 1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    objective = Objective(options, adversary=Adversary(options.adversarial))
    output = TokenizerOutput(y, torch.tensor(0.125), torch.zeros(2, 1))
    plain, deaf, heard = (
        Objective(ObjectiveOptions())(output, x, {}),
        objective(output, x, {}),
        objective(output, x, {}, listening=True),
    )
    assert torch.equal(plain.total, deaf.total)
    assert plain.parts.keys() == deaf.parts.keys()
    assert heard.parts.keys() == {*plain.parts, "adversarial"}
    torch.testing.assert_close(heard.total, plain.total + 0.25 * heard.parts["adversarial"])


def test_an_adaptive_weight_is_logged_and_scales_the_adversary() -> None:
    adversarial = {"ndf": 4, "layers": 1, "norm": "group", "adaptive": True}
    options = ObjectiveOptions.model_validate({"adversarial": adversarial})
    assert options.adversarial is not None
    objective = Objective(options, adversary=Adversary(options.adversarial))
    layer = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(4), requires_grad=True)
    # A commitment that reaches the layer, which none does today: it is no loss of pixels, whatever reaches what.
    commitment = layer.square().sum()
    output = TokenizerOutput(layer * 2, commitment, torch.zeros(2, 1))
    losses = objective(output, torch.zeros(1, 3, 16, 16), {}, listening=True, last_layer=layer)
    by_hand = [torch.autograd.grad(losses.parts[n], layer, retain_graph=True)[0].norm() for n in ("l1", "adversarial")]
    torch.testing.assert_close(losses.parts["adaptive_weight"], by_hand[0] / (by_hand[1] + 1e-4))
    scaled = 0.5 * losses.parts["adaptive_weight"] * losses.parts["adversarial"]
    torch.testing.assert_close(losses.total, losses.parts["l1"] + commitment + scaled)
    with pytest.raises(InputError, match="expected a last layer that is trained, got none"):
        objective(output, layer.detach(), {}, listening=True)
    with pytest.raises(ValidationError, match="beside an adaptive adversarial weight, got none"):
        ObjectiveOptions.model_validate({"l1": 0, "adversarial": {"adaptive": True}})


def test_an_adaptive_weight_weighs_against_pixels_alone() -> None:
    """A plugin's loss is none of those that VQGAN weighs against, also where it reaches the last layer."""
    adversarial = {"ndf": 4, "layers": 1, "norm": "group", "adaptive": True}
    options = ObjectiveOptions.model_validate({"adversarial": adversarial})
    assert options.adversarial is not None
    objective = Objective(options, adversary=Adversary(options.adversarial))
    layer = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(4), requires_grad=True)
    output, target = TokenizerOutput(layer * 2, torch.zeros(()), torch.zeros(2, 1)), torch.zeros(1, 3, 16, 16)
    alone = objective(output, target, {}, listening=True, last_layer=layer).parts
    objective.options = options.model_copy(update={"extra": {"far": ExtraOptions.model_construct(use="far")}})
    objective.extra = {"far": lambda output, target, regions: output.reconstruction.square().sum()}
    beside = objective(output, target, {}, listening=True, last_layer=layer).parts
    assert beside.keys() - alone.keys() == {"far"}
    assert torch.equal(beside["adaptive_weight"], alone["adaptive_weight"])


def test_a_term_with_the_name_of_a_part_is_refused() -> None:
    with pytest.raises(InputError, match=r"terms\.lecam: expected a name that no other part of the loss has"):
        Objective(ObjectiveOptions(), LossTerms({"lecam": term(1.0)}))
