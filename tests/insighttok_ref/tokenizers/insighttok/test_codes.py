"""Whether LlamaGen's codes are normalised: from its files where they show it, else on the caller's word."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from typer.testing import CliRunner

from insighttok_ref.tokenizers.insighttok.checkpoints import read_tokenizer, save_tokenizer
from regionloss.cli.main import app
from regionloss.errors import InputError, WeightsError
from tests.insighttok_ref.tokenizers.insighttok.published_layouts import double, forward

CODES = "quantize.embedding.weight"


def drawn(normalised: bool, count: int = 24) -> Tensor:
    """As LlamaGen's quantiser draws them."""
    codes = torch.empty(count, 8).uniform_(-1 / count, 1 / count, generator=torch.Generator().manual_seed(3))
    return F.normalize(codes, dim=-1) if normalised else codes


def learnt(normalised: bool, unmoved: int) -> Tensor:
    """Random codes, the last of which were never chosen."""
    codes = 1.5 + torch.rand(24, 8, generator=torch.Generator().manual_seed(4))
    codes[24 - unmoved :] = drawn(normalised)[24 - unmoved :]
    return codes


def saved(path: Path, codes: Tensor, **more: Any) -> Path:
    torch.save({"model": {**double("llamagen", 8), CODES: codes}, **more}, path)
    return path


@pytest.mark.parametrize(
    ("codes", "normalised"),
    [
        (drawn(True), True),
        (drawn(False), False),
        (learnt(True, 2), True),
        (learnt(False, 1), False),
        (drawn(True).bfloat16(), True),
        (drawn(False).half(), False),
    ],
)
def test_codes_that_no_token_has_moved_show_it(tmp_path: Path, codes: Tensor, normalised: bool) -> None:
    found = read_tokenizer(saved(tmp_path / "x.pt", codes))
    assert found.model.quantize.l2_normalize == normalised
    assert found.notes[-1].startswith(f"Codes are {'normalised' if normalised else 'plain'}, as those")


@pytest.mark.parametrize(
    ("place", "normalised"), [("config", True), ("config", False), ("hyper_parameters", True), ("args", False)]
)
@pytest.mark.parametrize("as_object", [True, False])
def test_the_files_options_show_it(tmp_path: Path, place: str, normalised: bool, as_object: bool) -> None:
    options = {"lr": 1.0, "codebook_l2_norm": normalised}
    held = {place: Namespace(**options) if as_object else {"model": options}}
    found = read_tokenizer(saved(tmp_path / "x.pt", learnt(True, 0), **held), trust=as_object)
    assert found.model.quantize.l2_normalize == normalised
    assert found.notes[-1].endswith("as the file's options say.")


def test_averaged_codes_may_hide_what_the_others_show(tmp_path: Path) -> None:
    averaged = {**double("llamagen", 8), CODES: learnt(True, 0)}
    found = read_tokenizer(saved(tmp_path / "x.pt", learnt(False, 1), ema=averaged))
    assert not found.model.quantize.l2_normalize
    assert found.notes[0] == "Read from entry 'ema'."


def test_nothing_is_guessed(tmp_path: Path) -> None:
    file = saved(tmp_path / "x.pt", learnt(True, 0))
    with pytest.raises(WeightsError, match=r"expected codes that show .*--codebook normalised .* --codebook plain"):
        read_tokenizer(file)
    for said in ({"args": {"codebook_l2_norm": True}}, {"config": {"l2_norm": True}, "args": {"l2_norm": False}}):
        with pytest.raises(WeightsError, match="expected codes that show"):  # the script's own default; two minds
            read_tokenizer(saved(tmp_path / "x.pt", learnt(True, 0), **said))
    with pytest.raises(InputError, match="codebook: expected 'normalised' or 'plain', got 'l2'"):
        read_tokenizer(file, codebook="l2")  # type: ignore[arg-type]


def test_plain_codes_give_the_numbers_of_a_plain_forward(tmp_path: Path) -> None:
    """LlamaGen's layers around codes that are compared as they are, as in taming's quantiser."""
    weights = double("llamagen", 8)
    torch.save({"model": weights}, tmp_path / "x.pt")
    model = read_tokenizer(tmp_path / "x.pt", codebook="plain").model
    x = torch.rand(2, 3, 32, 24, generator=torch.Generator().manual_seed(1)) * 2 - 1
    ids, reconstruction = forward(weights, "llamagen", x, l2_norm=False)
    assert torch.equal(model.encode(x), ids)
    torch.testing.assert_close(model(x).reconstruction.detach(), reconstruction, atol=5e-5, rtol=0)
    other = read_tokenizer(tmp_path / "x.pt", codebook="normalised").model
    assert (other(x).reconstruction - reconstruction).abs().max() > 0.1


def test_the_choice_stays_with_the_converted_file(tmp_path: Path) -> None:
    file, out = saved(tmp_path / "x.pt", learnt(True, 0)), tmp_path / "ours.safetensors"
    words = ["checkpoint", "convert", str(file), "--out", str(out)]
    asked = CliRunner().invoke(app, words)
    assert (asked.exit_code, out.exists()) == (1, False)
    done = CliRunner().invoke(app, [*words, "--codebook", "plain"])
    assert done.exit_code == 0, done.output
    assert "Codes are plain, as you say." in done.output
    assert not read_tokenizer(out).model.quantize.l2_normalize
    with pytest.raises(WeightsError, match="expected codes that are normalised, got others, as its configuration says"):
        read_tokenizer(out, codebook="normalised")
    save_tokenizer(read_tokenizer(out).model, tmp_path / "tensors.safetensors", "safetensors")
    assert not read_tokenizer(tmp_path / "tensors.safetensors").model.quantize.l2_normalize
