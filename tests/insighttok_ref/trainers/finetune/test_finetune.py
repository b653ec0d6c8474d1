"""Runs of the trainer on a small AutoencoderKL and a small tokenizer: what they leave, and how they go on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from insighttok_ref.tokenizers.insighttok.checkpoints import load_tokenizer, save_tokenizer
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from insighttok_ref.trainers.finetune.session import FinetuneSession
from insighttok_ref.training.checkpoint import Checkpoints, read_state
from insighttok_ref.training.stop import StoppedError
from regionloss.autoencoders import open_trainable
from regionloss.recipe import TrainingRun, build_trainer
from regionloss.runs import join
from tests.autoencoders.small import MODELS, images, model
from tests.insighttok_ref.trainers.finetune.conftest import Prepare

CPU = torch.device("cpu")


def train(run: TrainingRun, stop_at: int | None = None) -> FinetuneSession:
    with join("cpu") as ranks:
        session: FinetuneSession = build_trainer(run.loaded).session(run, ranks)
        after = session._after_step

        def then(state, record):
            session.signals.requested = state.step == stop_at
            after(state, record)

        session._after_step = then
        session.train()
    return session


def metrics(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "diffusion_pytorch_model.safetensors")


def test_diffusers_loads_the_folder_of_the_run(tuned: Path, vae: Path) -> None:
    from diffusers import AutoencoderKL

    x = torch.rand(2, 3, 32, 32) * 2 - 1
    before, after = AutoencoderKL.from_pretrained(vae), AutoencoderKL.from_pretrained(tuned)
    with torch.no_grad():
        latents = after.encode(x).latent_dist.mode()
        assert torch.equal(latents, before.encode(x).latent_dist.mode())
        theirs = after.decode(latents).sample
    ours = open_trainable(tuned / "autoencoder", CPU).reconstruct(x).images
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-6)
    changed = {key for key, value in weights(vae).items() if not torch.equal(value, weights(tuned)[key])}
    assert "decoder.conv_out.weight" in changed
    assert all(key.startswith(("decoder.", "post_quant_conv.")) for key in changed)


def test_a_run_says_what_it_found_and_proves_that_latents_are_kept(
    prepare: Prepare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = prepare(tmp_path / "run")
    build_trainer(run.loaded).run(run)
    out = capsys.readouterr().out
    assert "looking for regions of kind 'text' in " in out
    assert "model: AutoencoderKL, continuous latents" in out
    assert "learns: decoder (" in out
    assert "9 regions of kind 'text'" in out
    assert "(25% of the gradient)" in out
    assert "latents identical: yes (100 images, before and after, bit for bit)" in out
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "latents identical: yes" in page
    assert "<b>4</b> images of 'images that were not trained on', cut from <b>1</b> picture" in page
    assert '"owner":"photos/' in page
    found = json.loads((tmp_path / "run" / "results.json").read_text())["test"]["photos"]
    assert found["before"]["psnr"]["count"] == found["after"]["psnr"]["count"] == 4
    assert not any("loss/commitment" in line for line in metrics(tmp_path / "run"))  # it is not computed
    run = prepare(tmp_path / "run", resume=True)
    build_trainer(run.loaded).run(run)  # judges anew
    assert f"{tmp_path / 'run'}: this run is trained to its end already" in capsys.readouterr().out
    with Image.open(tmp_path / "run" / "regions.png") as sheet:
        assert sheet.size == (3 * 6 * 70, 3 * (6 * 60 + 17))  # six times as large, and a name below each


def test_a_stopped_run_goes_on_to_the_same_weights(prepare: Prepare, tuned: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(StoppedError):
        train(prepare(out), stop_at=3)
    torch.manual_seed(99)
    session = train(prepare(out, resume=True))
    assert session.found == read_state(Checkpoints(tuned / "checkpoints").newest())["found_weights"]
    assert {key: value.tolist() for key, value in weights(out).items()} == {
        key: value.tolist() for key, value in weights(tuned).items()
    }
    assert metrics(out) == metrics(tuned)


def test_a_run_does_not_go_on_from_other_weights(prepare: Prepare, vae: Path, tmp_path: Path) -> None:
    from diffusers import AutoencoderKL

    from regionloss.errors import InputError

    copied = tmp_path / "vae"
    AutoencoderKL.from_pretrained(vae).save_pretrained(copied)
    out = tmp_path / "run"
    with pytest.raises(StoppedError):
        train(prepare(out, f"model.from={copied}"), stop_at=2)
    other = AutoencoderKL.from_pretrained(vae)
    other.decoder.conv_out.bias.data += 1
    other.save_pretrained(copied)
    with pytest.raises(InputError, match=r"vae: expected weights of SHA-256 .*, got others\. Bring back the file"):
        train(prepare(out, f"model.from={copied}", resume=True))


def test_the_found_weight_gives_the_term_its_share(prepare: Prepare, tmp_path: Path) -> None:
    """The norms of gradients by autograd, over the batches that were looked at."""
    session = train(prepare(tmp_path / "run", "share=0.4", "steps=1"))
    part = session.parts[0]
    with join("cpu") as ranks:
        run = prepare(tmp_path / "again", "share=0.4", "steps=1")
        fresh = build_trainer(run.loaded).session(run, ranks)
        model = fresh.build(part, False)
        term = fresh.terms.terms["text"].loss
        pulls: list[list[float]] = []
        for batch in fresh.batches(part, fresh.shares[part.name]).starting_at(0):
            if not len(batch.regions["text"]):
                continue
            made = model(batch.images).reconstruction
            l1 = (made - batch.images).abs().mean()
            own = term(made, batch.images, batch.regions["text"])
            norms = [torch.autograd.grad(v, model.last_layer, retain_graph=True)[0].norm() for v in (l1, own)]
            pulls.append([float(norm) for norm in norms])
            if len(pulls) == 8:
                break
    rest, text = np.mean(pulls, 0)
    assert session.found["text"] * text / (session.found["text"] * text + rest) == pytest.approx(0.4, rel=1e-4)


def test_a_number_fixes_the_weight_and_a_second_term_may_be_named(prepare: Prepare, tmp_path: Path) -> None:
    given = "{use: tiny-text, detector: {name: given, options: {boxes: [[0, 0, 1, 1]]}}, weight: auto}"
    session = train(prepare(tmp_path / "run", "terms.text=0.03", f"terms.more={given}", "share.more=0.5", "steps=1"))
    assert session.found.keys() == {"more"}
    assert session.terms.terms["text"].weight == 0.03


def test_a_term_of_weight_0_is_not_computed_and_its_detector_does_not_look(prepare: Prepare, tmp_path: Path) -> None:
    session = train(prepare(tmp_path / "run", "terms.text=0", "log.costs=true", "steps=1"))
    (line,) = metrics(tmp_path / "run")
    assert line["loss/total"] == pytest.approx(line["loss/l1"])
    assert not [key for key in line if "text" in key]
    assert not session.looked.regions


def test_regions_of_a_term_of_weight_0_are_looked_for_where_a_judge_looks_at_them(
    prepare: Prepare, tmp_path: Path
) -> None:
    judged = ("terms.text=0", "evaluation.judges={text: text/ppocr-v6}")
    session = train(prepare(tmp_path / "run", *judged, "log.costs=true", "steps=1"))
    (line,) = metrics(tmp_path / "run")
    assert not [key for key in line if "text" in key]
    assert session.looked.regions["text"]
    assert (tmp_path / "run" / "photos.regions.parquet").exists()


def test_blocks_by_name_and_a_discriminator_from_a_later_step(prepare: Prepare, vae: Path, tmp_path: Path) -> None:
    blocks = [name for name in open_trainable(vae, CPU).parts if name.startswith("decoder.")]
    adversarial = "{learn_from: 1, listen_from: 2, ndf: 4, layers: 1, norm: group}"
    overrides = [f"model.train=[{blocks[0]}]", f"objective.adversarial={adversarial}", "engine.micro_batch=1"]
    out = tmp_path / "run"
    train(prepare(out, *overrides, "model.checkpointing=true", "weight_average=0", "engine.precision=bf16"))
    changed = {key for key, value in weights(vae).items() if not torch.equal(value, weights(out)[key])}
    assert changed
    assert len(changed) < sum(key.startswith("decoder.") for key in weights(vae))
    heard = ["loss/adversarial" in line for line in metrics(out) if "lr" in line]
    assert heard == [False, False, True, True, True]


def test_the_encoder_is_trained_when_asked_and_the_change_of_latents_is_said(
    prepare: Prepare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = prepare(tmp_path / "run", "model.train=[encoder, decoder]")
    build_trainer(run.loaded).run(run)
    out = capsys.readouterr().out
    assert "latents change, and what was trained on the old ones no longer fits." in out
    assert "latents identical: no, since encoder learnt (100 images, before and after, bit for bit)" in out


def test_a_tokenizer_keeps_its_ids(prepare: Prepare, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    small = {"ch": 16, "ch_mult": (1, 1), "num_res_blocks": 1, "z_channels": 8, "code_dim": 4, "codebook_size": 16}
    before = InsightTokenizer(**small, attn_resolutions=(), norm_groups=4).eval()
    save_tokenizer(before, tmp_path / "vq.safetensors")
    run = prepare(tmp_path / "run", f"model.from={tmp_path / 'vq.safetensors'}")
    build_trainer(run.loaded).run(run)
    assert "latents identical: yes" in capsys.readouterr().out
    (file,) = (tmp_path / "run" / "autoencoder").glob("*.safetensors")
    after, x = load_tokenizer(file), torch.rand(2, 3, 32, 32) * 2 - 1
    assert torch.equal(after.encode(x), before.encode(x))
    assert not torch.equal(after.last_layer, before.last_layer)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "sd"])
def test_every_family_is_tuned_and_read_by_diffusers(prepare: Prepare, tmp_path: Path, name: str) -> None:
    if name == "rae":
        pytest.importorskip("transformers")
    before, x = model(name), images()
    before.save_pretrained(tmp_path / "vae")
    out = tmp_path / "run"
    train(prepare(out, f"model.from={tmp_path / 'vae'}", "data.image_size=16", "data.test=0", "steps=5"))
    after = type(before).from_pretrained(out).eval()
    changed = {key for key, value in before.state_dict().items() if not torch.equal(value, after.state_dict()[key])}
    assert changed
    assert all(key.startswith(("decoder.", "post_quant_conv.")) for key in changed)
    ours, theirs = open_trainable(out / "autoencoder", CPU), open_trainable(tmp_path / "vae", CPU)
    assert torch.equal(ours.encode(x).latents, theirs.encode(x).latents)
