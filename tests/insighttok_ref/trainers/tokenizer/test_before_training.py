"""What cannot work is said before data are looked through and before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from insighttok_ref.data import build as building
from insighttok_ref.data.options import SourceOptions
from insighttok_ref.tokenizers.build import build_tokenizer
from insighttok_ref.tokenizers.insighttok.checkpoints import load_tokenizer, save_tokenizer
from insighttok_ref.trainers.tokenizer import checks
from insighttok_ref.trainers.tokenizer.checks import check_alone
from insighttok_ref.trainers.tokenizer.session import Session
from regionloss.errors import InputError, RegionLossError, WeightsError
from regionloss.recipe import TrainingRun, build_trainer, load_recipe
from regionloss.runs.process_group import Ranks, join

TINY = Path(__file__).with_name("tiny_phases.yaml")
OPTIONS = "trainer.options."


def session_of(out: Path, *overrides: str) -> Session:
    out.mkdir(parents=True, exist_ok=True)
    run = TrainingRun(load_recipe(TINY, [OPTIONS + override for override in overrides]), out)
    with join("cpu") as ranks:
        return build_trainer(run.loaded).session(run, ranks)


def tokenizer_file(path: Path, **quantizer: object) -> Path:
    """Write a tokenizer of the recipe's layout, but for options of its quantizer."""
    options = load_recipe(TINY).recipe.trainer.options["model"]
    save_tokenizer(build_tokenizer({**options, "quantizer": {**options["quantizer"], **quantizer}}), path)
    return path


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["phases.2.data={wrods: 1}"], r"phases\[2\]\.data\.wrods: .* got 'wrods'\. Did you mean 'words'"),
        (["phases.1.data={words: 0, plain: 0}"], r"phases\[1\]\.data: expected a share above 0"),
        (["phases.2.batch_size=7"], r"phase 'decoder': batch_size: .* engine\.micro_batch 2, got 7\. Say 6 or 8"),
        (["phases.0.term_weights={text: 1}"], r"phases\[0\]\.term_weights: expected terms of the phase, got 'text'"),
        (["data.stripes=3"], r"phases\[0\]\.batch_size: expected a multiple of data\.stripes, 3, got 4"),
        (["data.image_size=30"], r"multiples of 4, got 30 x 30"),
        (["objective.adversarial.layers=4"], r"objective\.adversarial: expected images of 48 pixels .* got 32 x 32"),
        (["objective.adversarial.adaptive=true", "phases.2.train=[encoder]"], r"got phase 'decoder' with train \['enc"),
        (["objective.perceptual={use: lpips-vgg}"], r"vgg16"),
        (["start_from=absent.safetensors"], r"absent\.safetensors: there is no such file"),
        (["evaluation.judges={text: text/ppocr-v6}"], r"evaluation\.judges: expected images to judge, .*NAME\.test"),
        (
            ["data.sources.kept={images: x.tar, share: 0, test: 4}", "phases.0.data={kept: 1}"],
            r"phases\[0\]\.data\.kept: expected no share of a source that is for the test alone, got 1",
        ),
        (
            ["data.sources.kept={images: x.tar, test: 4}"],
            r"data\.sources\.kept: expected share 0 for shards with a test, got 1\. Give the test shards of its own",
        ),
        (["data.sources.mine={images: x, annotate: true, regions: y}"], r"got regions beside images"),
        (["data.sources.mine={images: [x, y], annotate: true}"], r"expected one folder to annotate, got several"),
        (["model.norm_groups=3"], r"norm_groups: expected a divisor"),
    ],
)
def test_what_cannot_work_is_said_before_data_are_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], sentence: str
) -> None:
    monkeypatch.setattr(building, "build_training_data", lambda *args, **options: pytest.fail("has looked"))
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path / "no-weights"))
    with pytest.raises(RegionLossError, match=sentence):
        session_of(tmp_path, *overrides)


@pytest.mark.filterwarnings("ignore:regions. expected:UserWarning")  # plain pictures have none
def test_a_frozen_last_layer_and_a_loss_that_does_not_reach_it_have_no_balance(tmp_path: Path) -> None:
    """A phase of the encoder alone, and pixels that weigh nothing: no gradient to compare, and no traceback."""
    session_of(tmp_path / "a", "phases.0.train=[encoder]", "phases.0.terms=[text]").train()
    session_of(tmp_path / "b", "phases.0.terms=[text]", "objective.l1=0").train()


@pytest.mark.filterwarnings("ignore:regions. expected:UserWarning")
def test_a_term_whose_data_have_no_regions_is_named_when_its_phase_begins(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    session = session_of(tmp_path, "phases.0.terms=[text]")
    session._begin(session.parts[0])
    told = " ".join("".join(capfd.readouterr()).split())
    assert "pretrain: term 'text' met no region of kind 'text' in 4 batches" in told
    assert "the folder that its 'regions' names" in told


def test_a_run_starts_from_files_without_a_window_of_ids(tmp_path: Path) -> None:
    """Converted checkpoints of taming-transformers and LlamaGen have none."""
    file = tokenizer_file(tmp_path / "start.safetensors", track_usage=False)
    session = session_of(tmp_path / "run", f"start_from={file}")
    assert session._begin(session.parts[0]).model.fingerprint == load_tokenizer(file).fingerprint


def test_a_run_does_not_start_from_codes_of_another_meaning(tmp_path: Path) -> None:
    file = tokenizer_file(tmp_path / "start.safetensors", l2_normalize=True)
    with pytest.raises(InputError, match=r"got quantizer\.l2_normalize True \(here False\)"):
        session_of(tmp_path / "run", f"start_from={file}")


def test_one_process_alone_looks_for_the_regions_of_a_folder() -> None:
    sources = {"mine": SourceOptions(images="photos", annotate=True)}
    check_alone(sources, Ranks(0, 1, 0, 1, torch.device("cpu")))
    with pytest.raises(InputError, match=r"data\.sources\.mine\.annotate: expected one process, got 2\. Run 'region"):
        check_alone(sources, Ranks(1, 2, 1, 2, torch.device("cpu")))


def test_all_weights_that_are_missing_are_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of two terms, and of LPIPS."""
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path / "no-weights"))
    terms = {"a": "face/arcface-ir-se50", "b": "face/paper"}
    overrides = [f"terms.{name}={{use: {use}, weight: 1.0}}" for name, use in terms.items()]
    overrides.append(OPTIONS + "objective.perceptual={use: lpips-vgg}")
    run = TrainingRun(load_recipe(TINY, overrides), tmp_path)
    with join("cpu") as ranks, pytest.raises(WeightsError) as caught:
        build_trainer(run.loaded).session(run, ranks)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    for line, name in zip(lines, ("arcface-ir-se50", "arcface-r50", "vgg16-torchvision"), strict=True):
        assert name in line


@pytest.mark.parametrize(("device", "many", "told"), [("cpu", 1, True), ("cpu", 10**9, False), ("meta", 1, False)])
def test_a_large_tokenizer_on_a_cpu_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, many: int, told: bool
) -> None:
    monkeypatch.setattr(checks, "MANY", many)
    model = build_tokenizer(load_recipe(TINY).recipe.trainer.options["model"])
    assert bool(checks.slowness(model, torch.device(device))) is told


def test_a_run_says_so_before_its_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks, "MANY", 1)
    session = session_of(tmp_path)
    session._begin(session.parts[0])
    said = " ".join("".join(capfd.readouterr()).split())
    assert "pretrain: 0M weights learn on a CPU, where a step may take hours. 'regionloss plan' says which GPU" in said
