"""The guides' changes, applied: what stays and what is added is run against our doubles, and the terms count."""

from __future__ import annotations

import os
import textwrap
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.utils.data import default_collate

import regionloss as rl
from regionloss.hosts.published import published
from tests.docs.blocks import Block, blocks_of
from tests.hosts.doubles import CODES, DOUBLES, EXTRA

pytestmark = pytest.mark.weights
GUIDES = Path(__file__).parents[2] / "docs" / "how-to" / "wrap"
MOST_LINES = 10


def diffs(name: str) -> list[Block]:
    return [block for block in blocks_of(GUIDES / f"{name}.md") if block.language == "diff"]


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

    def training_step(self, batch: Any, batch_idx: int, turn: object = 0) -> Any:
        x = batch["image"].permute(0, 3, 1, 2)
        return DOUBLES[self.name].call(self.loss, x, self.decoder(x), self.get_last_layer(), turn)


class FromCommandLine:
    """Lightning's command line, as far as it concerns us: builds the model, then calls the hook, then fits."""

    made: Any = None
    name = ""

    def __init__(self, save_config_kwargs: Any) -> None:
        self.model = FromCommandLine.made = Lightning(self.name)
        self.before_fit()

    def before_fit(self) -> None:
        raise AssertionError("nobody changed it")


def picture(low: float) -> Tensor:
    """Return an image (3, 96, 160) with a word in it."""
    image = Image.new("RGB", (160, 96), (90, 120, 140))
    ImageDraw.Draw(image).text((15, 25), "HARBOUR", fill="white", font_size=30)
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(96, 160, 3)
    return (pixels.permute(2, 0, 1) / 255) * (1 - low) + low


def given() -> dict[str, rl.Regions]:
    return {"text": rl.Regions("text", torch.tensor([[15.0, 25, 150, 60]]), torch.tensor([0]), (96, 160), 1)}


def names_for(name: str) -> dict[str, Any]:
    """Return what the code around each change has at hand, ours in place of theirs."""
    torch.manual_seed(0)
    image = picture(DOUBLES[name].low)
    host = DOUBLES[name].make()
    command_line = type("FromCommandLine", (FromCommandLine,), {"name": name})
    model = Tokenizer()
    output = EXTRA if name in ("1d-tokenizer", "maskbit") else CODES

    def loss_cls(config: Any) -> nn.Module:
        return host

    def forward(images: Tensor) -> tuple[Tensor, Any]:
        return model.decoder(images), output

    accelerator = SimpleNamespace(accumulate=lambda _: nullcontext(), unwrap_model=lambda _: model)
    return {
        "instantiate_from_config": lambda _: Lightning(name),
        "LightningCLI": command_line,
        "config": SimpleNamespace(model=SimpleNamespace(discriminator=None)),
        "dataset": [(image, 0, given())] * 2,
        "loader": [(torch.stack([image, image]), torch.zeros(2))],
        "DataLoader": torch.utils.data.DataLoader,
        "args": SimpleNamespace(global_batch_size=2, gpu=0, log_every=1),
        "dist": SimpleNamespace(get_world_size=lambda: 1),
        "vq_loss": host,
        "DDP": lambda module, **_: Parallel(module),
        "device": "cpu",
        "ptdtype": torch.bfloat16,
        "torch": SimpleNamespace(cuda=SimpleNamespace(amp=SimpleNamespace(autocast=autocast))),
        "vq_model": Forward(forward, model),
        "train_steps": 4,
        "logger": None,
        "defaultdict": defaultdict,
        "loss_cls": loss_cls,
        "ReconstructionLoss_Stage2": loss_cls,
        "ReconstructionLoss_Single_Stage": object(),
        "VQGANLoss": lambda discriminator, loss_config: host,
        "loss_config": None,
        "accelerator": accelerator,
        "model": Forward(forward, model),
        "images": torch.stack([image, image]),
        "global_step": 5,
        "custom_collate": default_collate,
    }


def autocast(dtype: torch.dtype) -> Any:
    return torch.autocast("cpu", dtype)


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


@pytest.fixture
def terms_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (shown,) = [b for b in blocks_of(GUIDES / "any-loss.md") if b.language == "yaml"]
    Path("text_face.yaml").write_text(shown.text)


def applied(name: str) -> dict[str, Any]:
    """Return the names after the whole change of a guide, with the model that a command line built, if any."""
    names = names_for(name)
    for code in hunks(diffs(name)[0]):
        run(code, names)
    if "main" in names:
        names["main"]()
        names["model"] = FromCommandLine.made
    return names


def check_logs(logs: Any, name: str) -> None:
    prefix = DOUBLES[name].prefix
    assert logs[f"{prefix}region/text"] > 0
    assert logs[f"{prefix}region/text_count"] == 2
    assert logs[f"{prefix}region/face_count"] == 0


LIGHTNING = ("taming", "ocr-vqgan", "ibq", "open-magvit2", "wetok")


@pytest.mark.parametrize("name", DOUBLES)
def test_the_change_of_a_guide_is_complete(name: str, terms_file: None) -> None:
    """Nothing is added to what the host's data hold: images alone."""
    names = applied(name)
    if name in LIGHTNING:
        batch = {"image": torch.stack([picture(-1)] * 2).permute(0, 2, 3, 1)}
        loss, logs = names["model"].training_step(batch, 0)
        _, critic = names["model"].training_step(batch, 0, DOUBLES[name].critic)
        assert not any("region" in key for key in critic)
    elif name == "llamagen":
        loss, logs = names["loss_gen"], names["vq_loss"].module.last_logs
    else:
        loss, logs = names["autoencoder_loss"], names["loss_dict"]
    assert loss.requires_grad
    check_logs(logs, name)


@pytest.mark.parametrize("name", LIGHTNING)
def test_regions_found_once_come_through_the_loader(name: str, terms_file: None) -> None:
    names = applied(name)
    collate, bind = hunks(diffs(name)[1])
    run(collate, names)
    run(bind, names | {"self": SimpleNamespace(model=names["model"])})
    example = {"image": picture(-1).permute(1, 2, 0), "regions": given()}
    check_logs(names["model"].training_step(names["custom_collate"]([example] * 2), 0)[1], name)


def test_llamagens_regions_found_once_come_through_its_loader(terms_file: None) -> None:
    names = applied("llamagen")
    loader, loop = hunks(diffs("llamagen")[1])
    run(loader, names)
    names["published"] = published
    run(f"{loop}\n        seen = published()", names)
    assert names["seen"]["text"].num_images == 2


@pytest.mark.parametrize("other", ["Stage1", "MLMLoss", "none"])
def test_other_stages_of_1d_tokenizer_keep_their_loss(other: str, terms_file: None) -> None:
    names = names_for("1d-tokenizer")
    loss = None if other == "none" else nn.Identity()
    names["loss_cls"] = None if loss is None else lambda config: loss
    run(hunks(diffs("1d-tokenizer")[0])[0], names)
    assert names["loss_module"] is loss


@pytest.mark.parametrize("script", [0, 1], ids=["train_vqgan", "train_autoencoderkl"])
def test_the_changes_of_diffusers_scripts_work(script: int, terms_file: None) -> None:
    """By hand: the loss without the added lines, plus the terms (times C * H * W where the script sums)."""
    torch.manual_seed(0)
    low, name = ((0, "loss"), (-1, "nll_loss"))[script]
    x = torch.stack([picture(low)] * 2)
    y = x + 0.1 * torch.randn_like(x)
    names: dict[str, Any] = {
        "F": nn.functional, "torch": torch, "pixel_values": x, "targets": x,
        "reconstructions": y, "model": lambda images, return_dict: (y, None),
    }  # fmt: skip
    before, step = hunks(diffs("diffusers")[script])
    run(before, names)
    run(step, names)
    squares = (x - y).pow(2)
    term = names["terms"](y, x, rl.detect(picture(-1)[None].repeat(2, 1, 1, 1), "text/ppocr")).total
    wanted = squares.mean() + term if script == 0 else squares.sum() / 2 + term * 3 * 96 * 160
    torch.testing.assert_close(names[name], wanted)
    assert term > 0
