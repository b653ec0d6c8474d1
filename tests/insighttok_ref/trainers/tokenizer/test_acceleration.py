"""Compiled networks: the same training to rounding, the same weights by the same names, in few graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor

from insighttok_ref.trainers.tokenizer import part_state
from insighttok_ref.trainers.tokenizer.acceleration import accelerate, networks
from insighttok_ref.trainers.tokenizer.balance import gradient_norms
from insighttok_ref.trainers.tokenizer.loop import PartState, train_step
from insighttok_ref.trainers.tokenizer.session import Session
from regionloss.recipe import TrainingRun, build_trainer, load_recipe
from regionloss.runs import join

#: What torch's tracer itself warns of, that it asks for the gradient of a latent.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
RECIPE = Path(__file__).with_name("tiny_phases.yaml")
STEPS = 4
#: Each network's forward, and its backward's; of recognisers and the discriminator also those without gradients.
MOST_GRAPHS = 12


def begun(out: Path, *overrides: str) -> tuple[Session, PartState]:
    """The second phase, in which every part of the loss is there."""
    run = TrainingRun(load_recipe(RECIPE, [f"trainer.options.{key}" for key in overrides]), out)
    with join("cpu") as ranks:
        session = build_trainer(run.loaded).session(run, ranks)
        return session, session.begin(replace(session.parts[1], starts_from=""), False)


def trained(session: Session, state: PartState) -> dict[str, Tensor]:
    batches = session.batches(state.part, state.share).starting_at(state.first_micro_batch)
    state.model.train()
    for _ in range(STEPS):
        train_step(state, batches, True)
        state.step += 1
    assert state.adversary is not None
    return {**state.model.state_dict(), **state.adversary.state_dict()}


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[torch.fx.GraphModule]:
    """Graphs that are made from now on; they are run as they are."""
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    monkeypatch.setattr(part_state, "accelerate", partial(accelerate, backend=backend))
    return graphs


def test_a_compiled_training_is_the_eager_one(tmp_path: Path, captured: list[torch.fx.GraphModule]) -> None:
    wanted = trained(*begun(tmp_path))
    assert not captured
    found = trained(*begun(tmp_path, "engine.compile=true"))
    assert len(captured) > 4  # the probe, encoder, decoder, discriminator, recogniser
    assert len(captured) <= MOST_GRAPHS
    assert list(found) == list(wanted)
    for name, value in found.items():
        torch.testing.assert_close(
            value, wanted[name], rtol=1e-4, atol=1e-6, msg=lambda said, name=name: f"{name}: {said}"
        )


def test_to_look_at_gradients_before_training_compiles_nothing(
    tmp_path: Path, captured: list[torch.fx.GraphModule]
) -> None:
    session, state = begun(tmp_path, "engine.compile=true")
    before = len(captured)
    batches = session.batches(state.part, state.share).starting_at(0)
    assert gradient_norms(state, islice(batches, 2))["text"] > 0
    assert len(captured) == before


def test_a_step_calls_every_network_that_is_compiled(tmp_path: Path, weights: Callable[[str], Path]) -> None:
    weights("st-lpips-alex")
    session, state = begun(tmp_path, "objective.perceptual={use: st-lpips-alex}")
    found = list(networks(state))
    called = dict.fromkeys(range(len(found)), 0)
    for number, network in enumerate(found):
        network.register_forward_hook(lambda *_, number=number: called.update({number: called[number] + 1}))
    trained(session, state)
    assert len(called) == 5  # encoder, decoder, discriminator, LPIPS, recogniser
    assert all(called.values())
