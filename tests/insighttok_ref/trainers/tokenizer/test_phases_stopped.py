"""Three phases, stopped anywhere, go on bit for bit, and only with what they have."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from insighttok_ref.trainers.tokenizer.session import Session
from insighttok_ref.training.stop import StoppedError
from regionloss.errors import DiskError, InputError, WeightsError
from regionloss.recipe import TrainingRun, build_trainer, load_recipe
from regionloss.recipe.load import load_begun
from regionloss.recipe.run import begin
from tests.full_disk import FULL, full_disk
from tests.insighttok_ref.trainers.tokenizer.phases import (
    DEEPSPEED,
    OPTIONS,
    TINY,
    assert_same,
    crash,
    interrupt,
    metrics,
    prepare,
    stop,
    stopped_and_resumed,
    train,
)
from tests.patience import patience


@pytest.fixture(scope="module")
def trained_by_deepspeed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("deepspeed")
    train(prepare(out, DEEPSPEED))
    return out


@pytest.mark.parametrize(("step", "how"), [(3, interrupt), (5, crash), (7, interrupt), (9, crash), (12, interrupt)])
def test_a_stopped_run_goes_on_bit_for_bit(
    trained_phases: Path, tmp_path: Path, step: int, how: Callable[[], None]
) -> None:
    stopped_and_resumed(tmp_path, step, how)
    assert_same(trained_phases, tmp_path)


@pytest.mark.parametrize(("step", "how"), [(5, crash), (7, interrupt)])
def test_deepspeed_goes_on_bit_for_bit(
    trained_by_deepspeed: Path, tmp_path: Path, step: int, how: Callable[[], None]
) -> None:
    stopped_and_resumed(tmp_path, step, how, DEEPSPEED)
    assert_same(trained_by_deepspeed, tmp_path)


def test_deepspeed_trains_as_torch_does(trained_phases: Path, trained_by_deepspeed: Path) -> None:
    for ours, theirs in zip(metrics(trained_phases), metrics(trained_by_deepspeed), strict=True):
        assert ours.pop("part") == theirs.pop("part")
        # A logit within rounding of the hinge's corner pulls in one run and not in the other.
        norms = [one.pop("discriminator_gradient_norm", 0.0) for one in (ours, theirs)]
        assert norms[0] == pytest.approx(norms[1], rel=1e-2)
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)


def test_a_disk_that_is_full_in_the_background_ends_the_run_at_the_next_step(
    trained_phases: Path, tmp_path: Path
) -> None:
    """What was saved before is whole; the run goes on from there."""
    steps = []

    def fill(session: Session) -> None:
        after = session._after_step

        def then(state, record):
            steps.append(state.run_step)
            with full_disk(20_000) if state.run_step == 4 else nullcontext():
                after(state, record)
                until = time.monotonic() + patience(10)
                while state.run_step == 4 and not session.checkpoints.failed and time.monotonic() < until:
                    time.sleep(0.01)

        session._after_step = then

    with pytest.raises(DiskError, match=rf"step-00000004\.tmp: expected a disk .*{FULL}.*step-00000002 is whole"):
        train(prepare(tmp_path), fill)
    assert steps == [1, 2, 3, 4, 5]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000002"]
    train(prepare(tmp_path, resume=True))
    assert_same(trained_phases, tmp_path)


def test_a_run_goes_on_with_more_workers_and_recomputed_activations(trained_phases: Path, tmp_path: Path) -> None:
    """How fast it computes may change; workers change no bit."""
    with pytest.raises(StoppedError):
        train(prepare(tmp_path), stop(interrupt, 7))
    train(prepare(tmp_path, OPTIONS + "data.workers=1", resume=True))
    assert_same(trained_phases, tmp_path)
    train(prepare(tmp_path, OPTIONS + "model.checkpointing=true", OPTIONS + "model.channels_last=true", resume=True))


def test_a_run_goes_on_with_the_recipe_that_it_has(trained_phases: Path, tmp_path: Path) -> None:
    """Without a recipe; and what a finished part has left must be there."""
    shutil.copytree(trained_phases, tmp_path / "run")
    (tmp_path / "run" / "tokenizer.safetensors").unlink()
    loaded = load_recipe(TINY)
    begin(loaded, tmp_path / "again", None)
    shutil.copy(tmp_path / "again" / "resolved.yaml", tmp_path / "run")
    resumed = TrainingRun(load_begun(tmp_path / "run", []), tmp_path / "run", tmp_path / "run")
    build_trainer(resumed.loaded).run(resumed)
    assert (tmp_path / "run" / "tokenizer.safetensors").is_file()
    shutil.rmtree(tmp_path / "run" / "decoder")
    with pytest.raises(
        WeightsError, match=r"decoder/tokenizer\.safetensors: expected the tokenizer of a finished part"
    ):
        build_trainer(resumed.loaded).run(resumed)


def test_a_damaged_discriminator_of_the_part_before_is_named(trained_phases: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_phases, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    with pytest.raises(StoppedError):
        train(prepare(tmp_path / "other"), stop(interrupt, 11))
    shutil.copytree(tmp_path / "other" / "checkpoints", tmp_path / "run" / "checkpoints")
    (tmp_path / "run" / "regions" / "adversary.safetensors").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"regions/adversary\.safetensors: expected the discriminator of a part"):
        train(prepare(tmp_path / "run", resume=True))


def test_another_engine_and_another_number_of_ranks(tmp_path: Path) -> None:
    """What belongs to an engine is refused elsewhere; a finished run is not begun again."""
    with pytest.raises(StoppedError):
        train(prepare(tmp_path, DEEPSPEED), stop(interrupt, 2))
    with pytest.raises(InputError, match=r"a state of the engine 'plain', got 'deepspeed's. Go on with .*=deepspeed"):
        train(prepare(tmp_path, resume=True))
