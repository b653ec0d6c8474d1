"""Runs that repair a tokenizer whose decoder stays, and commands on what they leave."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from insighttok_ref.tokenizers.insighttok.checkpoints import load_tokenizer, save_tokenizer
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from insighttok_ref.training.stop import StoppedError
from regionloss.cli.main import app
from regionloss.errors import RegionLossError
from regionloss.recipe import build_trainer
from tests.autoencoders.small import model
from tests.insighttok_ref.trainers.finetune.conftest import Prepare
from tests.insighttok_ref.trainers.finetune.test_bad_input import sentence
from tests.insighttok_ref.trainers.finetune.test_finetune import metrics, train

ASKED = ("model.adapter=residual", "weight_average=0")


@pytest.fixture(scope="session")
def vq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    small = {"ch": 16, "ch_mult": (1, 1), "num_res_blocks": 1, "z_channels": 8, "code_dim": 4, "codebook_size": 16}
    file = tmp_path_factory.mktemp("vq") / "vq.safetensors"
    save_tokenizer(InsightTokenizer(**small, attn_resolutions=(), norm_groups=4), file)
    return file


@pytest.fixture(scope="session")
def repaired(prepare: Prepare, vq: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that is trained and not reported."""
    out = tmp_path_factory.mktemp("repaired") / "run"
    train(prepare(out, f"model.from={vq}", *ASKED))
    return out


def test_a_whole_run_says_what_learns_and_proves_that_ids_are_kept(
    prepare: Prepare, vq: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = prepare(tmp_path / "run", f"model.from={vq}", "model.adapter=residual", "model.checkpointing=true")
    build_trainer(run.loaded).run(run)
    said = capsys.readouterr().out
    assert "learns: a second codebook under the same ids, and a residual decoder (" in said
    assert "ids identical: yes (100 images, before and after, bit for bit)" in said
    assert f"it adds to {vq}: keep that file where it is, or beside it" in said
    assert "GiB at 2 images of 32 x 32" in said
    assert "ids identical: yes" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    base, after = load_tokenizer(vq), load_tokenizer(tmp_path / "run")
    ids = base.encode(x)
    assert torch.equal(after.encode(x), ids)
    with torch.no_grad():  # averaged over five steps
        assert not torch.equal(after.decode(ids, (16, 16)), base.decode(ids, (16, 16)))


def test_the_first_step_begins_at_the_images_of_the_original(prepare: Prepare, vq: Path, tmp_path: Path) -> None:
    asked = (f"model.from={vq}", "terms={}", "steps=1")
    train(prepare(tmp_path / "repaired", *asked, *ASKED))
    train(prepare(tmp_path / "tuned", *asked))
    (repaired,), (tuned,) = metrics(tmp_path / "repaired"), metrics(tmp_path / "tuned")
    assert repaired["loss/l1"] == tuned["loss/l1"]


def test_a_stopped_run_goes_on_to_the_same_weights(prepare: Prepare, vq: Path, repaired: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(StoppedError):
        train(prepare(out, f"model.from={vq}", *ASKED), stop_at=3)
    torch.manual_seed(99)
    train(prepare(out, f"model.from={vq}", *ASKED, resume=True))
    whole, stopped = (load_file(folder / "residual.safetensors") for folder in (repaired, out))
    assert whole.keys() == stopped.keys()
    assert all(torch.equal(value, stopped[name]) for name, value in whole.items())
    assert metrics(out) == metrics(repaired)


def test_commands_work_on_what_is_saved(photos: Path, vq: Path, repaired: Path, tmp_path: Path) -> None:
    words = ["reconstruct", photos, "--checkpoint", repaired, "--size", 32, "--out", tmp_path / "sheet.png"]
    done = CliRunner().invoke(app, [*map(str, words)])
    assert done.exit_code == 0, done.output
    words = ["evaluate", "--data", photos, "--checkpoint", repaired, "--size", 32, "--suite", "general"]
    done = CliRunner().invoke(app, [*map(str, words), "--lpips", "", "--frechet", "", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    words = ["checkpoint", "convert", repaired, "--to", "official", "--out", tmp_path / "x.pt"]
    done = CliRunner().invoke(app, [*map(str, words)])
    assert done.exit_code == 2
    assert "layout 'official': expected an InsightTok tokenizer, got 'residual'. Use 'ours'." in done.stderr


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.lora=4", "expected 'adapter' without 'lora', got lora 4. What it adds learns as a whole"),
        ("model.train=[encoder,decoder]", "expected 'adapter' without 'train', got train encoder, decoder."),
        ("model.adapter=residuals", "residual"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_read(
    prepare: Prepare, tmp_path: Path, override: str, said: str
) -> None:
    with pytest.raises(RegionLossError) as found:
        build_trainer(prepare(tmp_path / "run", "model.adapter=residual", override).loaded)
    assert said in str(found.value)


@pytest.mark.parametrize(
    ("name", "got"), [("sd", "an autoencoder whose latents are continuous"), ("vq", "'VQModel' of diffusers")]
)
def test_what_is_no_tokenizer_file_is_refused(prepare: Prepare, tmp_path: Path, name: str, got: str) -> None:
    model(name).save_pretrained(tmp_path / "other")
    said = sentence(prepare(tmp_path / "run", f"model.from={tmp_path / 'other'}", "model.adapter=residual"))
    assert said.startswith("model.adapter 'residual': expected a tokenizer file of InsightTok's, LlamaGen's, taming's")
    assert said.endswith(f"got {got}. Leave it out: its decoder is tuned then.")
