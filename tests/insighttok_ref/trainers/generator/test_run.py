"""A whole run, stopped anywhere and resumed, and what it refuses."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from insighttok_ref.generator.checkpoints import HANDED_ON, read_generator
from insighttok_ref.trainers.generator.session import GeneratorSession
from insighttok_ref.training.stop import StoppedError
from regionloss.errors import InputError, RegionLossError, WeightsError
from regionloss.recipe import TrainingRun, build_trainer
from regionloss.runs import join
from tests.insighttok_ref.cli.test_reconstruct import typed
from tests.insighttok_ref.generator.test_llama_start import saved_llama
from tests.insighttok_ref.tokens.images import saved
from tests.insighttok_ref.trainers.generator.conftest import CODES, write

Prepare = Callable[..., TrainingRun]
GENERATOR = "generator.safetensors"


def session(run: TrainingRun) -> GeneratorSession:
    with join("cpu") as ranks:
        return build_trainer(run.loaded).session(run, ranks)


def metrics(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


class CrashError(Exception):
    pass


def crash() -> None:
    raise CrashError


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("part", "step", "how"),
    [("adapt", 3, crash), ("adapt", 5, interrupt), ("train", 1, interrupt), ("train", 5, crash)],
)
def test_resumed_run_equals_an_unbroken_one_bit_for_bit(
    trained: Path, tiny_run: Prepare, tmp_path: Path, part: str, step: int, how: Callable[[], None]
) -> None:
    begun = session(tiny_run(tmp_path))
    after = begun._after_step

    def then(state, record):
        if (state.part.name, state.step) == (part, step):
            how()
        after(state, record)

    begun._after_step = then
    with pytest.raises((CrashError, StoppedError)):
        begun.train()
    torch.manual_seed(99)  # whatever has happened to the generator meanwhile
    session(tiny_run(tmp_path, resume=tmp_path)).train()
    for name in (GENERATOR, f"adapt/{HANDED_ON}"):
        whole, broken = load_file(trained / name), load_file(tmp_path / name)
        assert whole.keys() == broken.keys()
        assert all(torch.equal(whole[key], broken[key]) for key in whole), name
    assert metrics(tmp_path) == metrics(trained)


def test_first_phase_leaves_the_language_model_alone(trained: Path, tiny_run: Prepare, tmp_path: Path) -> None:
    begun = session(tiny_run(tmp_path))
    start = begun.begin(begun.parts[0], going_on=False).model.state_dict()
    adapted, end = load_file(trained / "adapt" / HANDED_ON), load_file(trained / GENERATOR)
    moved = {name.split(".")[0] for name in start if not start[name].equal(adapted[name])}
    assert moved == {"adapter", "head"}
    later = {name for name in start if not adapted[name].equal(end[name])}
    assert {name.split(".")[0] for name in later} == {"adapter", "head", "language_model"}
    assert "language_model.lm_head.weight" not in later
    assert adapted["codebook.weight"].equal(begun.tokenizer.codebook)


def test_loss_falls_and_what_is_kept_from_training_is_measured(trained: Path, tiny_run: Prepare) -> None:
    lines = metrics(trained)
    losses = [line["loss/total"] for line in lines if "loss/total" in line]
    assert losses[0] == pytest.approx(math.log(CODES), abs=0.3)
    assert losses[-1] < losses[0] - 0.1
    measured = [line for line in lines if "test/loss" in line]
    assert [line["part"] for line in measured] == ["adapt", "train"]
    generator, data = read_generator(trained), session(tiny_run(trained, resume=trained)).data
    rows = [row for source in data.sources.values() for row in source.test]
    assert len(rows) == 5
    each = [
        F.cross_entropy(generator.model(generator.form.encode([row.caption]), row.ids[None])[0], row.ids)
        for row in rows
    ]
    mean = torch.stack(each).mean().item()
    assert measured[-1]["test/loss"] == pytest.approx(mean, rel=1e-4)
    assert measured[-1]["test/perplexity"] == pytest.approx(math.exp(mean), rel=1e-4)


def test_an_epoch_sees_each_image_once_and_none_of_the_test(tiny_run: Prepare, tmp_path: Path) -> None:
    data = session(tiny_run(tmp_path)).data
    kept = {row.key for source in data.sources.values() for row in source.test}
    near = [row.key for row in map(data.row, range(4000)) if row.key.startswith("near")]
    assert len(near) == 3000
    assert len(set(near[:11])) == 11
    assert set(near) == {f"near-{shard}-{image}" for shard in range(2) for image in range(7)} - kept
    assert near[:11] != near[11:22]
    dropped = sum(map(data.drops, range(4000)))
    assert 0.27 < dropped / 4000 < 0.33


def test_unseen_captions_are_kept_from_training_with_all_their_images(
    tokens: Path, tiny_run: Prepare, tmp_path: Path
) -> None:
    data = session(tiny_run(tmp_path, "trainer.options.data.sources.near.unseen=5")).data
    near = data.sources["near"]
    kept = {row.key for row in near.test} | {row.key for row in near.unseen}
    captions = {row.caption for row in near.unseen}
    every = [near.shards[number] for number in range(len(near.shards))]
    assert len(captions) == 5
    assert {row.key for row in near.unseen} == {row.key for row in every if row.caption in captions}
    assert len(list(near.test)) == 3
    assert captions.isdisjoint(row.caption for row in near.test)
    trained = [near.row(shard, place) for shard, length in enumerate(near.lengths) for place in range(length)]
    assert [row.key for row in trained] == [row.key for row in every if row.key not in kept]
    refused(
        tiny_run(tmp_path / "all", "trainer.options.data.sources.near.unseen=99"),
        InputError,
        r"sources\.near\.unseen: expected fewer than the \d+ captions",
    )


@pytest.mark.parametrize("micro_batch", [1, 4])
def test_micro_batches_change_no_loss(trained: Path, tiny_run: Prepare, tmp_path: Path, micro_batch: int) -> None:
    said = ("trainer.options.phases.0.steps=3", f"trainer.options.engine.micro_batch={micro_batch}")
    begun = session(tiny_run(tmp_path, *said, "trainer.options.phases.1.batch_size=4"))
    state = begun._begin(begun.parts[0])
    begun.loggers = type("None", (), {"scalars": lambda *_: None})()
    begun.train_part(state)
    for mine, other in zip(metrics(tmp_path), metrics(trained), strict=False):
        assert mine["loss/total"] == pytest.approx(other["loss/total"], rel=1e-4)


def refused(run: TrainingRun, error: type[RegionLossError], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        session(run)


def test_tokens_of_another_tokenizer_are_refused_by_name(tiny_run: Prepare, tmp_path: Path) -> None:
    other = saved(tmp_path / "other.safetensors", seed=1)
    run = tiny_run(tmp_path / "run", f"trainer.options.data.tokenizer={other}")
    refused(run, InputError, r"near/000.*: expected tokens of the tokenizer \w{12}, got those of the tokenizer \w{12}")


def test_tokens_that_are_cut_off_or_lack_captions_are_refused(tiny_run: Prepare, tokens: Path, tmp_path: Path) -> None:
    key = "trainer.options.data.sources.near.tokens"
    shutil.copytree(tokens / "near", tmp_path / "near")
    ids = sorted((tmp_path / "near").glob("*.npy"))[1]
    ids.write_bytes(ids.read_bytes()[:-7])
    refused(
        tiny_run(tmp_path / "run", f"{key}={tmp_path / 'near'}"), InputError, rf"{ids.name}: expected tokens of images"
    )
    run = tiny_run(tmp_path / "run", f"{key}={write(tmp_path / 'bare', 4, caption=None)}")
    refused(run, InputError, r"bare/000.*: expected a caption for each image, got none for 4 of 4")


def test_what_does_not_fit_is_refused_before_training(tiny_run: Prepare, tmp_path: Path) -> None:
    data, model = "trainer.options.data", "trainer.options.model"
    refused(
        tiny_run(tmp_path, f"{data}.sources.near.test=14"),
        InputError,
        r"sources\.near\.test: expected fewer than the 14",
    )
    refused(
        tiny_run(tmp_path, f"{model}.shape.max_position_embeddings=30"),
        InputError,
        "caption: expected prompts of at most",
    )
    refused(tiny_run(tmp_path, f"{model}.shape.vocab_size=100"), InputError, "vocab_size=25[0-9]")
    refused(tiny_run(tmp_path, f"{data}.tokenizer=none.safetensors"), WeightsError, "none.safetensors")
    refused(tiny_run(tmp_path, "trainer.options.phases.1.name=adapt"), InputError, "a name of its own")


def test_a_run_goes_on_with_the_same_tokens(trained: Path, tiny_run: Prepare, tmp_path: Path) -> None:
    more = write(tmp_path / "more", 9)
    run = tiny_run(trained, resume=trained)
    key = "trainer.options.data.sources.near.tokens"
    refused(tiny_run(trained, f"{key}={more}", resume=trained), InputError, f"differs in {key}")
    begun = session(run)
    begun.saved["images"] = {"near": 1, "far": 2}
    with pytest.raises(InputError, match=r"data\.sources: expected .* images, got"):
        begun._check_same_tokens()


def test_a_phase_before_the_last_is_no_generator(trained: Path, tiny_run: Prepare, tmp_path: Path) -> None:
    got = r"expected a generator, got what phase 'adapt' leaves to the next: all that later phases train is untrained"
    for path in (trained / "adapt", trained / "adapt" / HANDED_ON, trained / "adapt" / GENERATOR):
        with pytest.raises(WeightsError, match=got):
            read_generator(path)
    begun = session(tiny_run(tmp_path))
    begun._after_step = lambda state, record: crash()
    begun.save(begun.begin(begun.parts[0], going_on=False))
    begun.checkpoints.finish()
    (step,) = (tmp_path / "checkpoints").iterdir()
    for path in (tmp_path, step):
        with pytest.raises(WeightsError, match=r"expected a generator, got a run whose last phase is not done\. Go on"):
            read_generator(path)


def test_a_run_of_the_first_phase_alone_is_told_untrained(tiny_run: Prepare, trained: Path, tmp_path: Path) -> None:
    phase = "{name: adapt, steps: 1, batch_size: 4, lr: 1e-3, train: [adapter, head]}"
    session(tiny_run(tmp_path / "run", f"trainer.options.phases=[{phase}]")).train()
    code, said = typed("generate", "a door", "--checkpoint", tmp_path / "run", "--n", 1, "--out", tmp_path / "a.png")
    assert code == 0
    assert "its language model was never trained: what it draws has nothing to do with the caption" in said
    assert read_generator(trained).untrained == ()


def test_a_run_begins_from_a_llama(tiny_run: Prepare, tmp_path: Path) -> None:
    theirs = saved_llama(tmp_path / "llama", max_position_embeddings=160)
    model = "trainer.options.model"
    said = (f"{model}.from={tmp_path / 'llama'}", f"{model}.shape={{}}", f"{model}.shape.attention_dropout=0.1")
    begun = session(tiny_run(tmp_path / "run", *said))
    begun.train()
    adapted = load_file(tmp_path / "run" / "adapt" / HANDED_ON)
    kept = {f"language_model.{name}": value for name, value in theirs.state_dict().items()}
    assert all(adapted[name].equal(value) for name, value in kept.items())
    assert not all(load_file(tmp_path / "run" / GENERATOR)[name].equal(value) for name, value in kept.items())
    generator = read_generator(tmp_path / "run")
    assert generator.form.begin == "<s>"
    assert generator.untrained == ()
    assert generator.model.config["shape"]["attention_dropout"] == 0.1
    refused(tiny_run(tmp_path / "other", said[0]), InputError, r"model\.shape\.intermediate_size: expected 48")
