"""Three phases from beginning to end: what each learns, who listens when, and how a run goes on after any stop."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from insighttok_ref.tokenizers.insighttok.checkpoints import load_tokenizer
from insighttok_ref.trainers.tokenizer.session import Session
from insighttok_ref.training.checkpoint import read_state
from insighttok_ref.training.stop import StoppedError
from regionloss.errors import InputError, RecipeError, UnknownNameError, WeightsError
from regionloss.recipe import TrainingRun, build_trainer, load_recipe
from regionloss.recipe.load import load_begun
from regionloss.recipe.run import begin
from regionloss.runs.process_group import join
from tests.patience import patience

TINY = Path(__file__).with_name("tiny_phases.yaml")
PHASES = ("pretrain", "regions", "decoder")
FILES = ("tokenizer.safetensors", "tokenizer-average.safetensors", "adversary.safetensors")
OPTIONS = "trainer.options."
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
DEEPSPEED = OPTIONS + "engine.name=deepspeed"


def prepare(out: Path, *overrides: str, resume: bool = False) -> TrainingRun:
    out.mkdir(parents=True, exist_ok=True)
    return TrainingRun(load_recipe(TINY, overrides), out, out if resume else None)


def train(run: TrainingRun, meanwhile: Callable[[Session], None] = lambda session: None) -> None:
    trainer = build_trainer(run.loaded)
    with join("cpu", group_of_one=trainer.engine.name == "deepspeed") as ranks:
        session = trainer.session(run, ranks)
        meanwhile(session)
        session.train()


def metrics(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def records(folder: Path, phase: str) -> list[dict[str, float]]:
    return [line for line in metrics(folder) if line["part"] == phase and "loss/total" in line]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phases")
    build_trainer((run := prepare(out)).loaded).run(run)
    return out


@pytest.fixture(scope="module")
def trained_by_deepspeed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("deepspeed")
    train(prepare(out, DEEPSPEED))
    return out


def test_every_part_is_logged_by_name(trained: Path) -> None:
    """The total is the weighted sum of its parts, phase by phase."""
    for record in [line for phase in PHASES for line in records(trained, phase)]:
        weights = {"l1": 1.0, "commitment": 1.0, "text": {"regions": 0.05, "decoder": 0.005}.get(record["part"], 0)}
        parts = sum(weight * record[f"loss/{name}"] for name, weight in weights.items())
        parts += 0.1 * record.get("loss/adversarial", 0.0)
        assert record["loss/total"] == pytest.approx(parts, rel=1e-4)


def test_the_discriminator_learns_before_the_generator_listens(trained: Path) -> None:
    learns = ["loss/discriminator" in record for record in records(trained, "pretrain")]
    assert learns == [False] * 3 + [True] * 3
    heard = {phase: ["loss/adversarial" in record for record in records(trained, phase)] for phase in PHASES}
    assert heard == {"pretrain": [False] * 6, "regions": [True] * 4, "decoder": [True] * 3}


def test_the_last_phase_trains_the_decoder_alone(trained: Path) -> None:
    before, after = (load_file(trained / name / "tokenizer.safetensors") for name in ("regions", "decoder"))
    learnt = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert learnt == {"decoder", "post_quant_conv"}
    first, second = (load_file(trained / name / "tokenizer.safetensors") for name in ("pretrain", "regions"))
    assert not torch.equal(first["quantize.embedding.weight"], second["quantize.embedding.weight"])


def test_each_phase_has_a_schedule_of_its_own(trained: Path) -> None:
    """Warm-up over 5% (one step here), then half a cosine: worked out for 4 steps of peak 1e-3."""
    assert [line["lr"] for line in records(trained, "regions")] == pytest.approx([1e-3, 1e-3, 7.5e-4, 2.5e-4])


def test_what_a_run_leaves(trained: Path) -> None:
    whole = load_tokenizer(trained / "tokenizer.safetensors")
    last = load_tokenizer(trained / "decoder" / "tokenizer.safetensors")
    assert whole.fingerprint == last.fingerprint
    assert load_tokenizer(trained / "decoder" / "tokenizer-average.safetensors").fingerprint != last.fingerprint
    assert {path.name for path in (trained / "checkpoints").iterdir()} == {"step-00000012", "step-00000013"}
    assert read_state(trained / "checkpoints" / "step-00000012")["threads"] == torch.get_num_threads()


def test_the_average_is_one_of_the_weights(tmp_path: Path) -> None:
    """Against the moving average written out, which the next phase goes on with."""
    seen: list[torch.Tensor] = []

    def watch(session: Session) -> None:
        after = session._after_step

        def then(state, record):
            seen.append(state.model.last_layer.detach().clone())
            after(state, record)

        session._after_step = then
        begin = session._begin

        def begun(part):
            state = begin(part)
            seen.append(state.model.last_layer.detach().clone())
            return state

        session._begin = begun

    train(prepare(tmp_path, OPTIONS + "phases.1.steps=1", OPTIONS + "phases.2.steps=1"), watch)
    average = seen[0]
    for weights in seen[1:7]:
        average = 0.9 * average + 0.1 * weights
    kept = load_file(tmp_path / "pretrain" / "tokenizer-average.safetensors")
    torch.testing.assert_close(kept["decoder.conv_out.weight"], average)
    began, after = seen[7:9]
    assert torch.equal(began, seen[6])
    kept = load_file(tmp_path / "regions" / "tokenizer-average.safetensors")
    torch.testing.assert_close(kept["decoder.conv_out.weight"], 0.9 * average + 0.1 * after)


class CrashError(Exception):
    pass


def crash() -> None:
    raise CrashError


def stop(how: Callable[[], None], at: int) -> Callable[[Session], None]:
    def arrange(session: Session) -> None:
        after = session._after_step

        def then(state, record):
            if state.run_step == at:
                how()
            after(state, record)

        session._after_step = then

    return arrange


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def assert_same(whole: Path, broken: Path) -> None:
    for name in [f"{phase}/{file}" for phase in PHASES for file in FILES]:
        one, other = load_file(whole / name), load_file(broken / name)
        assert all(torch.equal(one[key], other[key]) for key in one), name
    assert metrics(whole) == metrics(broken)


def stopped_and_resumed(out: Path, step: int, how: Callable[[], None], *overrides: str) -> None:
    with pytest.raises((StoppedError, CrashError)):
        train(prepare(out, *overrides), stop(how, step))
    torch.manual_seed(99)  # whatever has happened to the generator meanwhile
    train(prepare(out, *overrides, resume=True))


@pytest.mark.parametrize(("step", "how"), [(3, interrupt), (5, crash), (7, interrupt), (9, crash), (12, interrupt)])
def test_a_stopped_run_goes_on_bit_for_bit(trained: Path, tmp_path: Path, step: int, how: Callable[[], None]) -> None:
    stopped_and_resumed(tmp_path, step, how)
    assert_same(trained, tmp_path)


@pytest.mark.parametrize(("step", "how"), [(5, crash), (7, interrupt)])
def test_deepspeed_goes_on_bit_for_bit(
    trained_by_deepspeed: Path, tmp_path: Path, step: int, how: Callable[[], None]
) -> None:
    stopped_and_resumed(tmp_path, step, how, DEEPSPEED)
    assert_same(trained_by_deepspeed, tmp_path)


def test_deepspeed_trains_as_torch_does(trained: Path, trained_by_deepspeed: Path) -> None:
    for ours, theirs in zip(metrics(trained), metrics(trained_by_deepspeed), strict=True):
        assert ours.pop("part") == theirs.pop("part")
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)


def command(out: Path, *more: str, ranks: int = 1) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    return [sys.executable, *launcher, "-m", "regionloss", "train", str(TINY), "--out", str(out), *more]


def kill_after(words: list[str], log: Path, lines: int) -> None:
    """Start a command and kill all its processes once a log has so many lines."""
    begun = psutil.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    until = time.monotonic() + patience(20)
    while time.monotonic() < until and begun.poll() is None:
        if log.exists() and log.read_text().count("\n") >= lines:
            break
        time.sleep(0.002)
    for process in [*begun.children(recursive=True), begun]:
        process.kill()
    assert begun.wait(patience(6)) == -signal.SIGKILL


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT, timeout=patience(30))


#: What sees a rank's own images alone, made to see none: codes drawn from the first images, batch statistics, LeCAM.
JOINT = [
    OPTIONS + "model.quantizer.init=uniform",
    OPTIONS + "objective.adversarial.norm=group",
    OPTIONS + "objective.adversarial.lecam=0",
]


@pytest.fixture(scope="module", params=["plain", "deepspeed"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return the folder of a run of two processes, and its overrides."""
    out = tmp_path_factory.mktemp(request.param)
    overrides = [OPTIONS + f"engine.name={request.param}", *JOINT]
    finished = run(command(out, *overrides, ranks=2))
    assert finished.returncode == 0, finished.stderr[-3000:]
    return out, overrides


def test_two_processes_are_one_with_the_joint_batch(pair: tuple[Path, list[str]], tmp_path: Path) -> None:
    """Also where one of them has an image without regions, and through the adversarial game (LeCAM is not linear)."""
    train(prepare(tmp_path, *JOINT))
    for ours, theirs in zip(metrics(pair[0]), metrics(tmp_path), strict=True):
        names = [name for name in theirs if name.startswith("loss/") and name != "loss/lecam"]
        close = 1e-5 if theirs["part"] == "pretrain" else 1e-3
        for name in names:
            assert ours[name] == pytest.approx(theirs[name], rel=close, abs=1e-6), (theirs, name)
    first, second = (load_file(folder / "pretrain" / "tokenizer.safetensors") for folder in (tmp_path, pair[0]))
    for name in first.keys() - {"quantize.codebook_used"}:  # the last ids of a rank
        torch.testing.assert_close(second[name], first[name], rtol=1e-4, atol=1e-5)


def test_two_processes_killed_between_saves_go_on_bit_for_bit(pair: tuple[Path, list[str]], tmp_path: Path) -> None:
    """kill -9 to everybody once step 9 is logged, whose state was not saved."""
    kill_after(command(tmp_path, *pair[1], ranks=2), tmp_path / "metrics.jsonl", lines=9)
    assert not (tmp_path / "tokenizer.safetensors").exists()
    resumed = run(command(tmp_path, *pair[1], "--resume", str(tmp_path), ranks=2))
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert_same(pair[0], tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_is_the_trainings_to_answer(tmp_path: Path, number: int) -> None:
    """Ctrl-C and Slurm reach the workers that make batches, too."""
    longer = [OPTIONS + "phases.0.steps=5000", OPTIONS + "data.workers=2"]
    begun = subprocess.Popen(
        command(tmp_path, *longer), env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + patience(20)
    while not (tmp_path / "metrics.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(begun.pid, number)
    shown, _ = begun.communicate(timeout=patience(10))
    assert begun.returncode == 1
    assert "Traceback" not in shown
    assert len(list(tmp_path.glob("checkpoints/step-*/state.pt"))) == 1


def test_a_run_goes_on_with_more_workers_and_recomputed_activations(trained: Path, tmp_path: Path) -> None:
    """How fast it computes may change; workers change no bit."""
    with pytest.raises(StoppedError):
        train(prepare(tmp_path), stop(interrupt, 7))
    train(prepare(tmp_path, OPTIONS + "data.workers=1", resume=True))
    assert_same(trained, tmp_path)
    train(prepare(tmp_path, OPTIONS + "model.checkpointing=true", OPTIONS + "model.channels_last=true", resume=True))


def test_a_run_goes_on_with_the_recipe_that_it_has(trained: Path, tmp_path: Path) -> None:
    """Without a recipe; and what a finished part has left must be there."""
    shutil.copytree(trained, tmp_path / "run")
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


def test_a_damaged_discriminator_of_the_part_before_is_named(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
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


@pytest.mark.parametrize(
    ("overrides", "error", "sentence"),
    [
        (["engine.micro_batch=3"], InputError, r"batch_size"),
        (["phases.2.train=[]"], RecipeError, r"expected encoder or decoder among the parts that learn"),
        (["phases.2.train=[quantizer]"], RecipeError, r"A phase that freezes everything trains nothing"),
        (["phases.0.data={plane: 1}"], UnknownNameError, r"Did you mean 'plain'"),
        (["model.preset=insighttok-426"], RecipeError, r"insighttok-426m"),
        (["engine.zero_stage=3"], RecipeError, r"ZeRO 3 shards the weights themselves"),
        (["objective.adversarial.listen_from=2"], RecipeError, r"learn_from"),
        (["phases.1.term_weights={txt: 1}"], InputError, r"Did you mean 'text'"),
        (["start_from=nothing.safetensors"], WeightsError, r"nothing\.safetensors"),
    ],
)
def test_what_does_not_fit_is_a_sentence(
    tmp_path: Path, overrides: list[str], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        train(prepare(tmp_path, *[OPTIONS + override for override in overrides]))


def test_a_run_starts_from_a_tokenizer(trained: Path, tmp_path: Path) -> None:
    start = f"{OPTIONS}start_from={trained / 'tokenizer.safetensors'}"
    seen = []

    def look(session: Session) -> None:
        seen.append(session._begin(session.parts[0]).model.fingerprint)

    train(prepare(tmp_path / "a", start, OPTIONS + "phases.0.steps=1"), look)
    assert seen == [load_tokenizer(trained / "tokenizer.safetensors").fingerprint]
    with pytest.raises(InputError, match=r"a tokenizer of the recipe's layout, got codebook_size 32 \(here 64\)"):
        train(prepare(tmp_path / "b", start, OPTIONS + "model.codebook_size=64"))
