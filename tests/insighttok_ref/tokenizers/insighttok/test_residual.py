"""The repair of tokenizers of every kind: nothing changes at its start, ids stay, its file needs the base's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from insighttok_ref.tokenizers.insighttok.autoencoder import TokenizerFile, with_residual
from insighttok_ref.tokenizers.insighttok.checkpoints import read_tokenizer, save_tokenizer
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from insighttok_ref.tokenizers.insighttok.residual import ResidualTokenizer
from regionloss.autoencoders import open_trainable
from regionloss.errors import InputError, UnknownNameError, WeightsError
from tests.insighttok_ref.tokenizers.insighttok.test_autoencoder import CPU, PLAIN, files, tuned

X = torch.rand(2, 3, 16, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
SMALL = {"ch": 16, "num_res_blocks": 1, "z_channels": 8, "code_dim": 4, "codebook_size": 16, "norm_groups": 4}
OTHERS = {
    "fsq": {"codebook_size": 20, "code_dim": 2, "quantizer": {"use": "fsq", "levels": [4, 5]}},
    "patches": {"patch_size": 2, "channels_last": True, "dropout": 0.5},
}
KINDS = ["official", "taming", "llamagen", "llamagen, half", "ours", *OTHERS]


def file_of_kind(folder: Path, kind: str) -> Path:
    if kind not in OTHERS:
        return files(folder)[kind][0]
    torch.manual_seed(0)
    model = InsightTokenizer(**{**SMALL, "ch_mult": (1, 2), "attn_resolutions": (), **OTHERS[kind]})
    save_tokenizer(model, folder / "vq.safetensors")
    return folder / "vq.safetensors"


def repair(folder: Path, kind: str) -> tuple[TokenizerFile, Path]:
    path = file_of_kind(folder, kind)
    return with_residual(open_trainable(path, CPU, PLAIN if kind.startswith("llamagen") else {})), path


@pytest.mark.parametrize("kind", KINDS)
def test_a_repair_begins_as_its_base_learns_alone_and_is_read_again(tmp_path: Path, kind: str) -> None:
    found, path = repair(tmp_path, kind)
    model = found.model
    assert isinstance(model, ResidualTokenizer)
    base = read_tokenizer(path, codebook="plain" if kind.startswith("llamagen") else None).model
    ids, grid = base.encode(X), base.grid((16, 32))
    with torch.no_grad():
        assert torch.equal(model.decode(ids, grid), base.decode(ids, grid))
    tuned(found, X)
    assert all(torch.equal(value, model.base.state_dict()[name]) for name, value in base.state_dict().items())
    assert torch.equal(model.encode(X), ids)
    file = found.save(tmp_path / "after")
    assert file.name == "residual.safetensors"
    again = read_tokenizer(file)
    assert (again.kind, again.model.fingerprint) == ("residual", model.fingerprint)
    assert torch.equal(again.model.encode(X), ids)
    with torch.no_grad():
        made = again.model.decode(ids, grid)
        assert torch.allclose(made, model.decode(ids, grid), rtol=0, atol=1e-6)
        assert torch.equal(made, again.model(X).reconstruction)
        assert torch.allclose(made, by_hand(again.model, ids.unflatten(1, grid)), rtol=0, atol=1e-6)
        assert not torch.allclose(made, base.decode(ids, grid), rtol=0, atol=1e-4)
    assert again.model.hints.weight[ids.unique()].abs().sum(1).all()  # each id that was met has a hint
    unmet = torch.ones(len(model.hints.weight), dtype=torch.bool).index_fill(0, ids.unique(), False)
    assert not again.model.hints.weight[unmet].any()


def by_hand(model: ResidualTokenizer, ids: torch.Tensor) -> torch.Tensor:
    """The formula, an id at a time."""
    base = model.base
    q = torch.stack([torch.stack([base.codebook[id] for id in row.flatten()]) for row in ids])
    q = F.conv2d(q.mT.unflatten(2, ids.shape[1:]), base.post_quant_conv.weight, base.post_quant_conv.bias)
    hints = torch.stack([torch.stack([model.hints.weight[id] for id in row.flatten()]) for row in ids])
    images = base.decoder(q) + model.decoder(q + hints.mT.unflatten(2, ids.shape[1:]))
    return F.pixel_shuffle(images, base.patch_size)


def test_only_what_it_adds_is_in_its_file(tmp_path: Path) -> None:
    found, path = repair(tmp_path, "ours")
    assert found.save(tmp_path / "after").stat().st_size < path.stat().st_size
    learning = {id(one) for one in found.set_trainable()}
    assert learning == {id(one) for name, one in found.module.named_parameters() if not name.startswith("base.")}
    with pytest.raises(UnknownNameError, match="no part of the autoencoder is named 'encoder'"):
        found.set_trainable(["encoder"])


def test_a_base_is_found_beside_the_file_in_any_layout_and_nothing_else_is_taken(tmp_path: Path) -> None:
    found, path = repair(tmp_path, "official")
    file = found.save(tmp_path / "after")
    shutil.move(path, tmp_path / "gone.pt")
    with pytest.raises(WeightsError, match=r"expected the tokenizer that it repairs, 'insighttok.pt' of fingerprint"):
        read_tokenizer(file)
    torch.save({"model": found.model.base.state_dict()}, file.with_name(path.name))  # as another program would
    assert read_tokenizer(file).model.fingerprint == found.model.fingerprint
    found.model.base.decoder.conv_out.bias.data += 1
    torch.save({"model": found.model.base.state_dict()}, file.with_name(path.name))
    with pytest.raises(WeightsError, match=r"got another one \(.*after.insighttok.pt\)\. Put 'insighttok.pt'"):
        read_tokenizer(file)
    shutil.move(tmp_path / "gone.pt", path)
    assert read_tokenizer(file).kind == "residual"  # where it lay, though another one lies beside


def test_how_codes_are_compared_is_the_files_to_say(tmp_path: Path) -> None:
    found, _ = repair(tmp_path, "llamagen")
    file = found.save(tmp_path / "after")
    assert open_trainable(file, CPU, PLAIN).reconstruct(X).images.equal(open_trainable(file, CPU).reconstruct(X).images)
    with pytest.raises(WeightsError, match="expected the tokenizer that it repairs"):
        open_trainable(file, CPU, {"codebook": "normalised"})


def test_a_repair_of_a_repair_is_tuned_on_instead(tmp_path: Path) -> None:
    found, _ = repair(tmp_path, "ours")
    tuned(found, X)
    again = open_trainable(found.save(tmp_path / "after"), CPU)
    before = again.reconstruct(X)
    tuned(again, X)
    again.save(tmp_path / "on")
    after = open_trainable(tmp_path / "on", CPU).reconstruct(X)
    assert torch.equal(after.ids, before.ids)
    assert not torch.allclose(after.images, before.images, rtol=0, atol=1e-4)
    with pytest.raises(InputError, match=r"got one that has it\. Leave it out: what it has is tuned on"):
        with_residual(again)


def test_a_base_in_training_mode_stays_as_it_is(tmp_path: Path) -> None:
    found, _ = repair(tmp_path, "patches")
    with torch.no_grad():
        assert torch.equal(found.model.train()(X).reconstruction, found.model.eval()(X).reconstruction)


def test_a_broken_file_is_a_sentence(tmp_path: Path) -> None:
    found, _ = repair(tmp_path, "ours")
    file = found.save(tmp_path / "after")
    tensors, config = load_file(file), '{"use": "residual", "base": {"file": "x"}}'
    save_file(tensors, file, metadata={"config": config})
    with pytest.raises(WeightsError, match="it has no 'fingerprint'"):
        read_tokenizer(file)
    found.save(tmp_path / "after")
    told = metadata_of(file)
    save_file({**tensors, "hints.weight": tensors["hints.weight"][:3]}, file, metadata=told)
    with pytest.raises(WeightsError, match=r"'hints.weight': expected a shape \(16, 8\), got \(3, 8\)"):
        read_tokenizer(file)


def metadata_of(file: Path) -> dict[str, str]:
    held = file.read_bytes()
    return dict(json.loads(held[8 : 8 + int.from_bytes(held[:8], "little")])["__metadata__"])
