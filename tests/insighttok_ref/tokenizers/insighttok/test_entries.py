"""Tokenizers are found where frameworks put them: behind prefixes, in entries, in folders; what is none is named."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from insighttok_ref.tokenizers.insighttok.checkpoints import read_tokenizer, save_tokenizer
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from regionloss.errors import WeightsError
from tests.insighttok_ref.tokenizers.insighttok.published_layouts import double

Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def taming() -> Weights:
    return double("taming", 8)


@pytest.fixture(scope="module")
def official() -> Weights:
    torch.manual_seed(0)
    model = InsightTokenizer(ch=32, ch_mult=(1, 2), num_res_blocks=1, z_channels=8, code_dim=4, codebook_size=16)
    return dict(model.state_dict())


def read(tmp_path: Path, content: Any, name: str = "x.pt", trust: bool = False) -> Any:
    torch.save(content, tmp_path / name)
    return read_tokenizer(tmp_path / name, trust=trust)


def same(model: InsightTokenizer, weights: Weights) -> bool:
    found = model.state_dict()
    return all(torch.equal(found[name], value) for name, value in weights.items())


def prefixed(prefix: str) -> Callable[[Weights], Weights]:
    return lambda weights: {prefix + name: value for name, value in weights.items()}


def within(inner: str) -> Callable[[Weights], Weights]:
    """As where parts of a model were wrapped, each by itself."""
    return lambda weights: {name.replace(".", f".{inner}.", 1): value for name, value in weights.items()}


PREFIXES = {
    **{
        name: prefixed(name)
        for name in (
            "module.",
            "_orig_mod.",
            "_orig_mod.module.",
            "module._orig_mod.",
            "module.module.",
            "module._orig_mod.module._orig_mod.",
            "first_stage_model.",
            "model.",
            "model.first_stage_model.",
            "_forward_module.first_stage_model._orig_mod.",
            "tokenizer.vq.",
        )
    },
    "encoder._orig_mod": within("_orig_mod"),
    "encoder.module": within("module._orig_mod"),
    "both": lambda weights: prefixed("module.")(within("_orig_mod")(weights)),
}


@pytest.mark.parametrize("kind", ["taming", "official"])
@pytest.mark.parametrize("how", PREFIXES)
def test_prefixes_in_any_order_and_number(tmp_path: Path, request: pytest.FixtureRequest, kind: str, how: str) -> None:
    weights = request.getfixturevalue(kind)
    beside = {"n_averaged": torch.tensor(3)} if how.startswith("module") else {}
    found = read(tmp_path, {**beside, **PREFIXES[how](weights)})
    assert found.kind == kind
    assert same(found.model, weights)


def test_wrappers_of_torch_itself(tmp_path: Path, official: Weights) -> None:
    model = InsightTokenizer(ch=32, ch_mult=(1, 2), num_res_blocks=1, z_channels=8, code_dim=4, codebook_size=16)
    model.load_state_dict(official)
    model.encoder = torch.compile(model.encoder)  # type: ignore[assignment]
    wrapped = AveragedModel(nn.DataParallel(model), use_buffers=True)
    found = read(tmp_path, {"model": wrapped.state_dict()})
    assert same(found.model, official)


def undotted(weights: Weights) -> Weights:
    """As latent diffusion keeps averages, of parameters alone."""
    counts = {"model_ema.decay": torch.tensor(0.9), "model_ema.num_updates": torch.tensor(3)}
    return {f"model_ema.{name.replace('.', '')}": value for name, value in weights.items()} | counts


def entry_cases(weights: Weights) -> dict[str, tuple[Any, str]]:
    """What a file holds, and the entry to be read: its weights are those given, all others are shifted."""
    other = {name: value + 1 for name, value in weights.items()}
    some = dict(list(weights.items())[:-3])
    disc = {"conv.weight": torch.ones(2)}
    return {
        "deepspeed": ({"module": weights, "dp_world_size": 2, "optimizer": None, "ds_config": {"a": 1}}, "module"),
        "nested average": ({"model": other, "ema": {"decay": 0.9, "shadow": weights}}, "ema.shadow"),
        "average as a model": ({"model": other, "ema": {"decay": 0.9, "module": weights}}, "ema.module"),
        "average beside": ({"state_dict": other, "model_ema": weights}, "model_ema"),
        "decay among tensors": ({"model": other, "ema": {"decay": 0.9, **weights}}, "ema"),
        "list of averages": ({"model": weights, "ema": {"decay": 0.9, "shadow_params": [torch.ones(2)]}}, "model"),
        "half an average": ({"model": weights, "ema": {"decay": 0.9, "shadow": some}}, "model"),
        "empty average": ({"model": weights, "ema": None}, "model"),
        "deep": ({"state": {"generator": {"net": weights}, "discriminator": disc}}, "state.generator.net"),
        "optimizer": ({"opt": {"state": {0: {"exp_avg": torch.ones(2)}}}, "vq_model": weights}, "vq_model"),
        "averages of a library": (
            {**prefixed("online_model.")(other), **prefixed("ema_model.")(weights), "step": torch.tensor(1)},
            "ema_model.",
        ),
        "averages of a library in an entry": (
            {"model": other, "ema": {**prefixed("online_model.")(other), **prefixed("ema_model.")(weights)}},
            "ema_model.",
        ),
        "average in one word": ({"model": other, "modelEMA": weights}, "modelEMA"),
        "averages without dots": ({"state_dict": {**other, **undotted(weights)}}, "model_ema."),
        "first stage with averages without dots": (
            {"state_dict": prefixed("first_stage_model.")({**other, **undotted(weights)})},
            "first_stage_model.model_ema.",
        ),
        "averages of the diffusion alone": (
            {"state_dict": {**prefixed("first_stage_model.")(weights), "model_ema.diffusion_modelw": torch.ones(1)}},
            "first_stage_model.",
        ),
        "latent diffusion": (
            {"state_dict": {**prefixed("first_stage_model.")(weights), "model.diffusion_model.w": torch.ones(1)}},
            "first_stage_model.",
        ),
    }


@pytest.mark.parametrize("case", entry_cases({}))
@pytest.mark.parametrize("kind", ["taming", "official"])
def test_the_network_is_chosen_among_entries_and_named(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, case: str
) -> None:
    weights = request.getfixturevalue(kind)
    content, entry = entry_cases(weights)[case]
    found = read(tmp_path, content)
    assert same(found.model, weights)
    assert any("Read from" in note and f"'{entry}'" in note for note in found.notes), found.notes
    if case == "half an average":
        assert "No whole tokenizer is in entry 'ema.shadow'." in found.notes


def test_a_model_that_was_saved_whole(tmp_path: Path, official: Weights) -> None:
    model = InsightTokenizer(ch=32, ch_mult=(1, 2), num_res_blocks=1, z_channels=8, code_dim=4, codebook_size=16)
    model.load_state_dict(official)
    found = read(tmp_path, {"args": argparse.Namespace(a=1), "net": model}, trust=True)
    assert same(found.model, official)


def test_tamings_quantiser_with_averages_is_read(tmp_path: Path, taming: Weights) -> None:
    averages = {"cluster_size": torch.full((24,), 7.0), "embed_avg": torch.ones(24, 8)}
    stored = {**taming, **{f"quantize.embedding.{name}": value for name, value in averages.items()}}
    found = read(tmp_path, {"state_dict": stored})
    plain = read(tmp_path, taming)
    assert (found.kind, found.filled) == ("taming", ())
    assert torch.equal(found.model.quantize.cluster_size, averages["cluster_size"])
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    assert torch.equal(found.model(x).reconstruction, plain.model(x).reconstruction)


def unsupported(weights: Weights) -> dict[str, tuple[Any, str]]:
    no_codes = {name: value for name, value in weights.items() if not name.startswith("quantize.")}
    return {
        "no middle attention": (
            {name: value for name, value in weights.items() if "mid.attn_1" not in name},
            r"without attention in the middle is not supported\.$",
        ),
        "linear attention": (
            {name.replace("mid.attn_1.q.", "mid.attn_1.to_qkv."): value for name, value in weights.items()},
            r"without attention in the middle is not supported\.$",
        ),
        "other layers": (
            {name.replace("nin_shortcut", "conv_shortcut"): value for name, value in weights.items()},
            r"other layers than the published ones is not supported\.$",
        ),
        "gumbel": (
            {**no_codes, "quantize.embed.weight": torch.ones(24, 8), "quantize.proj.bias": torch.ones(24)},
            r"got another quantiser \(quantize.embed.weight, quantize.proj.bias\)\. It is not supported\.$",
        ),
        "no codes": (no_codes, r"got an autoencoder without codes\. It is not supported\.$"),
        "optimizer": (
            {"optimizer_state_dict": {"base_optimizer_state": [torch.ones(2)]}},
            r"got the state of an optimizer\. Name the file that ends in 'model_states\.pt'",
        ),
        "between parts": ({"part": "", "finished": ["a"], "version": 2}, "got the state of a run between two parts"),
        "damaged state": (
            {"part": "a", "finished": [], "tokenizer": "{", "model": weights},
            "cannot be read as a tokenizer file",
        ),
    }


@pytest.mark.parametrize("case", unsupported({}))
def test_what_is_not_supported_is_named_as_such(tmp_path: Path, taming: Weights, case: str) -> None:
    content, sentence = unsupported(taming)[case]
    with pytest.raises(WeightsError, match=sentence):
        read(tmp_path, content)


def folder_cases(folder: Path, model: InsightTokenizer, state: dict[str, Any]) -> dict[str, Callable[[], object]]:
    def save(name: str, content: Any) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, folder / name)

    older = {**state, "model": {name: value + 1 for name, value in state["model"].items()}}
    return {
        "run": lambda: save_tokenizer(model, folder / "tokenizer.safetensors"),
        "checkpoint": lambda: save("state.pt", state),
        "stopped run": lambda: [save(f"checkpoints/step-0000000{n}/state.pt", s) for n, s in ((1, older), (2, state))],
        "checkpoints": lambda: [save("step-00000002/state.pt", state), save("step-00000003.tmp/state.pt", older)],
        "deepspeed": lambda: save("mp_rank_00_model_states.pt", {"module": state["model"], "ds_version": "1"}),
        "accelerate": lambda: save_file(state["model"], folder / "model.safetensors"),
        "older accelerate": lambda: save("pytorch_model.bin", state["model"]),
        "one piece": lambda: save_file(state["model"], folder / "model-00001-of-00001.safetensors"),
        "tag": lambda: save("global_step7/mp_rank_00_model_states.pt", {"module": state["model"], "ds_version": "1"}),
    }


ACCELERATE = ["accelerate", "older accelerate", "one piece"]


@pytest.mark.parametrize("case", ["run", "checkpoint", "stopped run", "checkpoints", "deepspeed", "tag", *ACCELERATE])
def test_folders_stand_for_the_file_that_is_meant(tmp_path: Path, official: Weights, case: str) -> None:
    model = InsightTokenizer(ch=32, ch_mult=(1, 2), num_res_blocks=1, z_channels=8, code_dim=4, codebook_size=16)
    model.load_state_dict(official)
    state = {"part": "a", "finished": [], "tokenizer": json.dumps(model.config), "model": official, "average": None}
    folder_cases(tmp_path, model, state)[case]()
    assert same(read_tokenizer(tmp_path).model, official)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("__0_0.distcp", "dcp_to_torch"),
        ("global_step7/zero_pp_rank_0_mp_rank_00_model_states.pt", "zero_to_fp32"),
        ("model-00002-of-00003.safetensors", "the library that wrote them"),
        ("pytorch_model-00001-of-00002.bin", "the library that wrote them"),
    ],
)
def test_a_piece_of_a_tokenizer_is_named_as_such(tmp_path: Path, name: str, advice: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"x")
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(WeightsError, match=f"{name}: expected a whole .*, got one of several pieces.*{advice}"):
            read_tokenizer(path)


ODD = {
    "integers": lambda codes: codes.long(),
    "complex": lambda codes: codes.to(torch.complex64),
    "no values": lambda codes: codes.to("meta"),
}


@pytest.mark.parametrize("how", ODD)
def test_values_that_no_weight_has_are_refused(tmp_path: Path, official: Weights, how: str) -> None:
    name = "quantize.embedding.weight"
    with pytest.raises(WeightsError, match=rf"'{name}': expected values of torch.float32, got"):
        read(tmp_path, {**official, name: ODD[how](official[name])})


def test_the_state_of_a_stopped_run_has_its_own_configuration(tmp_path: Path) -> None:
    """No shape tells how images were folded, nor the groups of the norms."""
    model = InsightTokenizer.from_preset("miniature", ch=8)
    state = {"part": "a", "finished": [], "tokenizer": json.dumps(model.config), "model": model.state_dict()}
    found = read(tmp_path, {**state, "adversary": {"conv_in.weight": torch.ones(2)}})
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    assert found.kind == "ours"
    assert torch.equal(found.model(x).reconstruction, model.eval()(x).reconstruction)
