"""ZeRO 3: weights that no process ever holds all of, and what a stop, a kill and another number of processes change."""

from __future__ import annotations

import os
import resource
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import distributed as dist
from typer.testing import CliRunner

from insighttok_ref.cli.checkpoint import app
from insighttok_ref.generator.checkpoints import read_generator
from insighttok_ref.generator.runs import read_run
from insighttok_ref.trainers.generator.session import HANDED_ON, GeneratorSession
from insighttok_ref.training.checkpoint import read_saved
from regionloss.errors import WeightsError
from regionloss.recipe import TrainingRun, build_trainer, load_recipe
from regionloss.runs import join
from tests.insighttok_ref.generator.test_llama_start import saved_llama
from tests.insighttok_ref.trainers.generator.conftest import GRID, TINY, places
from tests.insighttok_ref.trainers.generator.test_run import GENERATOR, metrics

pytest.importorskip("deepspeed")
#: Small weights are shared, too: DeepSpeed would leave those below 100,000 numbers whole.
ALL = "trainer.options.engine.options={zero_optimization: {stage3_param_persistence_threshold: 0}}"
SHARDED = (
    "trainer.options.engine.name=deepspeed",
    "trainer.options.engine.zero_stage=3",
    "trainer.options.engine.micro_batch=1",
    "trainer.options.model.checkpointing=true",
    ALL,
)


def begin(tokens: Path, out: Path, *words: str, resume: bool = False) -> GeneratorSession:
    out.mkdir(parents=True, exist_ok=True)
    run = TrainingRun(load_recipe(TINY, [*places(tokens), *SHARDED, *words]), out, out if resume else None)
    with join("cpu") as ranks:
        return build_trainer(run.loaded).session(run, ranks)


def train(tokens: Path, out: Path, *words: str, resume: bool = False) -> None:
    begin(tokens, out, *words, resume=resume).train()


class StopError(Exception):
    pass


def stop_at(session: GeneratorSession, part: str, step: int) -> None:
    after = session._after_step

    def then(state, record):
        after(state, record)
        if (state.part.name, state.step) == (part, step):
            raise StopError

    session._after_step = then
    with pytest.raises(StopError):
        session.train()


class Killer:
    """Dies of SIGKILL once half of its file is there."""

    def write(self, file: Path) -> None:
        file.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)


def killed_while_saving(session: GeneratorSession, step: int) -> None:
    """Die once half of this rank's files are there."""
    shards = session.shards

    def then(state):
        found = shards(state)
        if state.run_step == step and session.ranks.rank == 1:
            found["generator-engine-00001.safetensors"] = Killer()
        return found

    session.shards = then
    session.train()


def whole_and_killed(rank: int, tokens: Path, folder: Path) -> None:
    peaks(rank, tokens, folder)
    train(tokens, folder / "whole")
    killed_while_saving(begin(tokens, folder / "killed"), 10)


def gone_on(rank: int, tokens: Path, folder: Path) -> None:
    train(tokens, folder / "killed", resume=True)
    train(tokens, folder / "one", resume=True)


def peaks(rank: int, tokens: Path, folder: Path) -> None:
    """Write how much memory a rank takes at most while a model is made, and how large that is."""
    session = begin(tokens, folder / "large", *(f"trainer.options.model.shape.{name}={value}" for name, value in LARGE))
    begin(tokens, folder / "small").sharded_model(session.shares["adapt"])  # whatever the first one imports
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = session.sharded_model(session.shares["adapt"])
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    count = sum(weight.ds_numel for weight in model.parameters())
    (folder / f"peak-{rank}").write_text(f"{peak} {4 * count}")


LARGE = (("hidden_size", 1024), ("intermediate_size", 2816), ("num_hidden_layers", 8), ("num_attention_heads", 16))


def two(rank: int, what, tokens: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    place = folder / f"group-{what.__name__}"
    dist.init_process_group("gloo", f"file://{place}", rank=rank, world_size=2)
    what(rank, tokens, folder)
    dist.destroy_process_group()


def in_two(what, tokens: Path, folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")  # what is freed is given back: peaks are those of tensors
        torch.multiprocessing.start_processes(two, (what, tokens, folder), nprocs=2, start_method="spawn")


@pytest.fixture(scope="module")
def runs(tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of runs: whole ones of one and two processes, and those that went on with as many or others."""
    folder = tmp_path_factory.mktemp("sharded")
    with join("cpu", group_of_one=True):
        stop_at(begin(tokens, folder / "one"), "train", 4)
    shutil.copytree(folder / "one", folder / "stopped")
    with pytest.raises(torch.multiprocessing.ProcessExitedException, match="SIGKILL"):
        in_two(whole_and_killed, tokens, folder)
    shutil.copytree(folder / "killed", folder / "fewer")
    in_two(gone_on, tokens, folder)
    with join("cpu", group_of_one=True):
        train(tokens, folder / "fewer", resume=True)
    return folder


@pytest.mark.parametrize("name", ["whole", "killed", "one", "fewer"])
def test_any_number_of_processes_loses_what_one_without_shards_does(trained: Path, runs: Path, name: str) -> None:
    """Whole; killed while it saved; begun with one process and gone on with two; and the other way round."""
    mine, other = metrics(runs / name), metrics(trained)
    assert len(mine) == len(other) == 14
    for one, two in zip(mine, other, strict=True):
        assert one.keys() == two.keys()
        for key in one.keys() & {"loss/total", "test/loss", "gradient_norm"}:
            assert one[key] == pytest.approx(two[key], rel=1e-4)
    for file in (GENERATOR, f"adapt/{HANDED_ON}"):
        ours, theirs = load_file(runs / name / file), load_file(trained / file)
        assert ours.keys() == theirs.keys()
        for key in ours:
            torch.testing.assert_close(ours[key], theirs[key], rtol=0, atol=1e-4)


def test_a_kill_while_saving_changes_nothing(runs: Path) -> None:
    assert metrics(runs / "killed") == metrics(runs / "whole")
    for file in (GENERATOR, f"adapt/{HANDED_ON}"):
        broken, whole = load_file(runs / "killed" / file), load_file(runs / "whole" / file)
        assert all(torch.equal(broken[key], whole[key]) for key in whole)


def test_what_a_run_has_saved_becomes_a_generator(trained: Path, runs: Path, tmp_path: Path) -> None:
    """Against the state that the engine without shards has saved at the same step."""
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["convert", str(runs / "stopped"), "--from", "zero", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert str(out) in result.output
    wanted = read_saved(trained / "checkpoints" / "step-00000010" / "state.pt")["model"]
    found = read_generator(out)
    assert found.grid == GRID
    for name, value in found.model.state_dict().items():
        torch.testing.assert_close(value, wanted[name], rtol=0, atol=1e-4)
    for folder, sentence in ((runs / "one", "is a generator already"), (runs, "expected checkpoints, got none")):
        with pytest.raises(WeightsError, match=sentence):
            read_run(folder)


@pytest.mark.parametrize(("words", "close"), [(["offload_optimizer=true"], 1e-4), (["precision=bf16"], 0.05)])
def test_offload_and_bf16(trained: Path, tokens: Path, tmp_path: Path, words: list[str], close: float) -> None:
    with join("cpu", group_of_one=True):
        session = begin(tokens, tmp_path, *(f"trainer.options.engine.{word}" for word in words))
        stop_at(session, "adapt", 3)
        resumed = begin(tokens, tmp_path, *(f"trainer.options.engine.{word}" for word in words), resume=True)
        state = resumed._begin(resumed.parts[0])
    half = "bf16" in words[0]
    assert state.step == 2
    assert {weight.dtype for weight in state.model.parameters()} == {torch.bfloat16 if half else torch.float32}
    assert state.model.language_model.model.rotary_emb.inv_freq.dtype == torch.float32
    for one, two in zip(metrics(tmp_path), metrics(trained), strict=False):
        assert one["loss/total"] == pytest.approx(two["loss/total"], rel=close)


def test_no_process_ever_holds_the_whole_model(runs: Path) -> None:
    for rank in range(2):
        peak, model = map(int, (runs / f"peak-{rank}").read_text().split())
        assert model > 400e6
        assert peak < 0.7 * model


def test_a_llama_that_has_been_trained_is_shared_out(tokens: Path, tmp_path: Path) -> None:
    """Its weights are those of a run that is not sharded, after the phase in which only what is new learns."""
    theirs = saved_llama(tmp_path / "llama", max_position_embeddings=160)
    model = "trainer.options.model"
    with join("cpu", group_of_one=True):
        train(tokens, tmp_path / "run", f"{model}.from={tmp_path / 'llama'}", f"{model}.shape={{}}")
    adapted = load_file(tmp_path / "run" / "adapt" / HANDED_ON)
    for name, value in theirs.state_dict().items():
        assert adapted[f"language_model.{name}"].equal(value), name
    assert not read_generator(tmp_path / "run").untrained
