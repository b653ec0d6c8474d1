"""The model against the published code's numbers (tests/golden/insighttok/README.md)."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from insighttok_ref.quantizers.ema import EMAQuantizer
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer

ACTIVATIONS = {"atol": 5e-5, "rtol": 0.0}
STATISTICS = {"atol": 1e-5, "rtol": 0.0}


def reduced_model(golden: Any, **quantizer: Any) -> InsightTokenizer:
    model = InsightTokenizer(
        ch=32,
        ch_mult=(1, 1, 2),
        num_res_blocks=2,
        resolution=64,
        z_channels=48,
        codebook_size=64,
        code_dim=24,
        quantizer=quantizer,
    )
    model.load_state_dict(golden.weights())
    return model


def close(actual: Tensor, wanted: Tensor, atol: float, rtol: float) -> None:
    torch.testing.assert_close(actual, wanted, atol=atol, rtol=rtol)


@pytest.mark.parametrize(
    ("preset", "column", "trainable"),
    [("insighttok-426m", "shape_426m", 421_782_531), ("insighttok-111m", "shape_111m", 106_787_715)],
)
def test_state_dict_is_the_published_one(golden_folder: Path, preset: str, column: str, trainable: int) -> None:
    with torch.device("meta"):
        model = InsightTokenizer.from_preset(preset)
    with (golden_folder / "insighttok_state_dict.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    ours = model.state_dict()
    assert list(ours) == [row["key"] for row in rows]
    for row in rows:
        assert "x".join(map(str, ours[row["key"]].shape)) == row[column], row["key"]
        assert ours[row["key"]].dtype == getattr(torch, row["dtype"])
    assert sum(p.numel() for p in model.parameters()) == trainable


def test_the_72m_preset_counts_as_in_table_7() -> None:
    with torch.device("meta"):
        model = InsightTokenizer.from_preset("insighttok-72m")
    assert sum(p.numel() for p in model.parameters()) == 71_879_555


@pytest.mark.parametrize(("name", "ch", "codes"), [("full32", 32, 512), ("small", 128, 16384)])
def test_full_layout(
    golden_b: Any, published_weights: Any, published_input: Tensor, name: str, ch: int, codes: int
) -> None:
    with torch.device("meta"):
        model = InsightTokenizer(ch=ch, codebook_size=codes)
    model.load_state_dict(published_weights(model), assign=True)
    with torch.no_grad():
        z = model.latents(published_input)
        z_q, commit, ids = model.quantize(z)
        rec = model.decode_latents(z_q)
    close(z, golden_b[f"{name}/quant_conv_out"], **ACTIVATIONS)
    close(z_q, golden_b[f"{name}/z_q"], **ACTIVATIONS)
    close(rec, golden_b[f"{name}/rec"], **ACTIVATIONS)
    close(commit, golden_b[f"{name}/commit"], **STATISTICS)
    close(model.quantize.stats()["perplexity"], golden_b[f"{name}/perplexity"], atol=1e-3, rtol=0)
    assert torch.equal(ids.flatten(), golden_b[f"{name}/indices"])


@pytest.mark.parametrize("channels_last", [False, True])
def test_reduced_model_in_eval(golden_a: Any, channels_last: bool) -> None:
    model = reduced_model(golden_a).eval()
    if channels_last:
        model.channels_last = True
        model.to(memory_format=torch.channels_last)
    x = golden_a["x"]
    with torch.no_grad():
        close(model.encoder(x), golden_a["eval/encoder_out"], **ACTIVATIONS)
        rec, _, ids, *_ = model(x)
    close(rec, golden_a["eval/rec"], **ACTIVATIONS)
    assert torch.equal(ids.flatten(), golden_a["eval/indices"])
    assert torch.equal(model.encode(x), ids)
    close(model.decode(ids, model.grid((64, 64))), golden_a["eval/rec"], **ACTIVATIONS)


def test_sides_need_not_be_equal(golden_a: Any) -> None:
    model = reduced_model(golden_a).eval()
    x = golden_a["x"][:1, :, :48, :40]
    rec, _, ids, *_ = model(x)
    assert model.grid((48, 40)) == (12, 10)
    assert torch.equal(ids.flatten(), golden_a["eval_nonsquare/indices"])
    close(rec[0, :, 0], golden_a["eval_nonsquare/rec_row0"], **ACTIVATIONS)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_losses_and_gradients(golden_a: Any, golden_folder: Path, checkpointing: bool) -> None:
    model = reduced_model(golden_a).train()
    model.encoder.checkpointing = model.decoder.checkpointing = checkpointing
    x = golden_a["x"]
    rec, commit, ids, *_ = model(x)
    l1 = (rec - x).abs().mean()
    (l1 + commit).backward()
    assert torch.equal(ids.flatten(), golden_a["train/indices"])
    close(commit, golden_a["train/commit_loss"], **STATISTICS)
    close(l1, golden_a["train/l1"], **STATISTICS)
    stats = model.quantize.stats()
    close(stats["perplexity"], golden_a["train/perplexity"], atol=1e-3, rtol=0)
    close(stats["usage"], golden_a["train/codebook_usage"], **STATISTICS)
    names = json.loads((golden_folder / "golden_a_grad_names.json").read_text())
    parameters = dict(model.named_parameters())
    assert set(names) == set(parameters)
    norms = torch.stack([parameters[name].grad.norm() for name in names])
    close(norms, golden_a["train/grad_norms"], atol=1e-5, rtol=1e-3)
    whole = golden_a.keys("train/grad/")
    assert len(whole) == 4
    for key in whole:
        close(parameters[key.removeprefix("train/grad/")].grad, golden_a[key], atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("restart", ["off", "random"])
def test_codebook_after_two_updates(golden_a: Any, restart: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = reduced_model(golden_a, restart=restart, restart_threshold=1.0).train()
    prefix = "ema_restart" if restart == "random" else "ema_norestart"
    for turn, x in enumerate((golden_a["x"], golden_a["x"].flip(3)), start=1):
        if restart == "random":
            perm = golden_a[f"{prefix}_{turn}/perm"]
            monkeypatch.setattr(EMAQuantizer, "draw_permutation", lambda self, n, perm=perm: perm)
        model(x)
        model.quantize.update()
        for name in ("cluster_size", "embed_avg"):
            close(getattr(model.quantize, name), golden_a[f"{prefix}_{turn}/{name}"], **STATISTICS)
        close(model.codebook, golden_a[f"{prefix}_{turn}/embedding"], **STATISTICS)
