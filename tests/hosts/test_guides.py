"""The guides' changes, applied: what stays and what is added is run against our doubles, and the terms count."""

from __future__ import annotations

import os
import textwrap
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

import regionloss as rl
from tests.docs.blocks import Block, blocks_of
from tests.hosts.doubles import CODES, DOUBLES, EXTRA

pytestmark = pytest.mark.weights
GUIDES = Path(__file__).parents[2] / "docs" / "how-to"
MOST_LINES = 10


def diffs(name: str) -> list[Block]:
    return [block for block in blocks_of(GUIDES / f"wrap-{name}.md") if block.language == "diff"]


def hunks(block: Block) -> list[str]:
    """Return the code of each place after the change."""
    places: list[list[str]] = []
    for line in block.text.splitlines():
        if line.startswith("@@"):
            places.append([])
        elif not line.startswith("-"):
            places[-1].append(line[1:])
    return [textwrap.dedent("\n".join(lines)) for lines in places]


@pytest.mark.parametrize("name", [*DOUBLES, "diffusers"])
def test_a_change_is_ten_lines_at_most(name: str) -> None:
    for block in diffs(name):
        changed = [line for line in block.text.splitlines() if line[:1] in ("+", "-")]
        assert 0 < len(changed) <= MOST_LINES, changed


class Tokenizer(nn.Module):
    """A model of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = nn.Conv2d(3, 3, 1)
        self.decoder.last_layer = self.decoder.weight

    def get_last_layer(self) -> Tensor:
        return self.decoder.weight


class Lightning(Tokenizer):
    """The steps of taming's and SEED's modules."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.loss = name, DOUBLES[name].make()

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x = batch["image"]
        return DOUBLES[self.name].call(self.loss, x, self.decoder(x), self.get_last_layer(), 0)


class FromCommandLine:
    """Lightning's command line, as far as it concerns us: builds the model, then calls the hook, then fits."""

    name = ""

    def __init__(self, save_config_kwargs: Any) -> None:
        self.model = Lightning(self.name)
        self.before_fit()

    def before_fit(self) -> None:
        raise AssertionError("nobody changed it")


def regions_in(path: str) -> dict[str, rl.Regions]:
    return {"text": rl.Regions("text", torch.tensor([[4.0, 8, 60, 24]]), torch.tensor([0]), (64, 64), 1)}


def names_for(name: str) -> dict[str, Any]:
    """Return what the code around each change has at hand, ours in place of theirs."""
    torch.manual_seed(0)
    low = DOUBLES[name].low
    image = torch.rand(3, 64, 64) * (1 - low) + low
    example = {"image": image, "regions": regions_in("")}
    host = DOUBLES[name].make()
    command_line = type("FromCommandLine", (FromCommandLine,), {"name": name})
    model = Tokenizer()
    output = EXTRA if name in ("1d-tokenizer", "maskbit") else CODES

    def forward(images: Tensor) -> tuple[Tensor, Any]:
        return model.decoder(images), output

    accelerator = SimpleNamespace(accumulate=lambda _: nullcontext(), unwrap_model=lambda _: model)
    return {
        "instantiate_from_config": lambda _: Lightning(name),
        "LightningCLI": command_line,
        "config": SimpleNamespace(model=SimpleNamespace(discriminator=None)),
        "self": SimpleNamespace(preprocess_image=lambda _: image),
        "example": dict(example),
        "path": "photo.png",
        "regions_in": regions_in,
        "dataset": [(image, 0, regions_in(""))] * 2,
        "DataLoader": torch.utils.data.DataLoader,
        "args": SimpleNamespace(global_batch_size=2, gpu=0, log_every=1),
        "dist": SimpleNamespace(get_world_size=lambda: 1),
        "vq_loss": host,
        "DDP": lambda module, **_: Parallel(module),
        "device": "cpu",
        "ptdtype": None,
        "torch": SimpleNamespace(cuda=SimpleNamespace(amp=SimpleNamespace(autocast=lambda dtype: nullcontext()))),
        "vq_model": Forward(forward, model),
        "train_steps": 4,
        "logger": None,
        "loss_cls": lambda config: host,
        "VQGANLoss": lambda discriminator, loss_config: host,
        "loss_config": None,
        "accelerator": accelerator,
        "model": Forward(forward, model),
        "images": torch.stack([image, image]),
        "batch": rl.RegionCollate()([example, example]),
        "global_step": 5,
    }


class Parallel(nn.Module):
    """DistributedDataParallel's surface without its processes."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


class Forward:
    """A model whose forward returns images and losses of codes."""

    def __init__(self, forward: Any, module: nn.Module) -> None:
        self.forward, self.module = forward, module

    def __call__(self, images: Tensor) -> tuple[Tensor, Any]:
        return self.forward(images)


def run(code: str, names: dict[str, Any]) -> None:
    """Run a piece of a guide, with its imports of the host's own modules left out."""
    lines = [line for line in code.splitlines() if not line.startswith("from ")]
    try:
        exec("\n".join(lines), names)
    except rl.RegionLossError as error:
        if os.environ.get("REGIONLOSS_REQUIRE_WEIGHTS") != "1" and isinstance(error, FileNotFoundError):
            pytest.skip(str(error))
        raise


@pytest.mark.parametrize("name", DOUBLES)
def test_the_change_of_a_guide_works(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (shown,) = [b for b in blocks_of(GUIDES / "wrap-any-loss.md") if b.language == "yaml"]
    Path("text_face.yaml").write_text(shown.text)
    names = names_for(name) | {"custom_collate": default_collate, "default_collate": default_collate}
    (block,) = diffs(name)
    for code in hunks(block):
        run(code, names)
    if "cli" in names:
        names["model"] = names["cli"].model
    collate = names["default_collate"] if name in ("1d-tokenizer", "maskbit") else names["custom_collate"]
    if name == "llamagen":
        logs = names["vq_loss"].module.last_logs
        assert names["loss_gen"].requires_grad
    elif "loss_dict" in names:
        logs = names["loss_dict"]
        assert collate([names["example"]] * 2)["regions"]["text"].num_images == 2
    else:
        assert set(names["example"]) == {"image", "regions"}
        _, logs = names["model"].training_step(collate([names["example"]] * 2), 0)
    prefix = DOUBLES[name].prefix
    assert logs[f"{prefix}region/text"] > 0
    assert logs[f"{prefix}region/text_count"] == 2
    assert logs[f"{prefix}region/face_count"] == 0


@pytest.mark.parametrize("script", [0, 1], ids=["train_vqgan", "train_autoencoderkl"])
def test_the_changes_of_diffusers_scripts_work(script: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: the loss without the added lines, plus the terms (times C * H * W where the script sums)."""
    monkeypatch.chdir(tmp_path)
    (shown,) = [b for b in blocks_of(GUIDES / "wrap-any-loss.md") if b.language == "yaml"]
    Path("text_face.yaml").write_text(shown.text)
    torch.manual_seed(0)
    low, name = ((0, "loss"), (-1, "nll_loss"))[script]
    x = torch.rand(2, 3, 64, 64) * (1 - low) + low
    y = x + 0.1 * torch.randn_like(x)
    examples = [{"pixel_values": image, "regions": regions_in("")} for image in x]
    names: dict[str, Any] = {
        "collate_fn": default_collate, "F": nn.functional, "torch": torch, "pixel_values": x, "targets": x,
        "reconstructions": y, "model": lambda images, return_dict: (y, None),
    }  # fmt: skip
    before, step = hunks(diffs("diffusers")[script])
    run(before, names)
    names["batch"] = names["collate_fn"](examples)
    run(step, names)
    squares = (x - y).pow(2)
    term = names["terms"](y, x, names["batch"]["regions"]).total
    wanted = squares.mean() + term if script == 0 else squares.sum() / 2 + term * 3 * 64 * 64
    torch.testing.assert_close(names[name], wanted)
    assert term > 0
