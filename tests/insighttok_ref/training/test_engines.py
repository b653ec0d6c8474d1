"""Engines against torch's own step: two players, micro-batches, and going on."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist

from insighttok_ref.trainers.tokenizer.options import EngineOptions
from insighttok_ref.training.checkpoint import write_files
from insighttok_ref.training.engines import Engine, OptimizerOptions, PlainEngine, build_engine, deepspeed_config
from regionloss.data.batches.loader import Share
from regionloss.errors import InputError, PluginError
from regionloss.runs.process_group import join

OPTIONS = OptimizerOptions(weight_decay=0.05)
SHARE = Share(4, 2)  # two micro-batches of two images
ENGINES = [("plain", 0), ("deepspeed", 0), ("deepspeed", 1), ("deepspeed", 2)]


def test_engine_steps_as_torch_does() -> None:
    """Against clipping written out and torch's Adam."""
    torch.manual_seed(0)
    ours = nn.Linear(3, 2)
    theirs = nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    engine = PlainEngine(ours, OptimizerOptions(clip=0.5))
    adam = torch.optim.Adam(theirs.parameters(), betas=(0.5, 0.9))
    for step in range(5):
        x = torch.randn(4, 3)
        engine.backward(ours(x).square().sum())
        norm = engine.step(0.1 / (step + 1))
        adam.zero_grad()
        theirs(x).square().sum().backward()
        length = math.sqrt(sum(float(p.grad.square().sum()) for p in theirs.parameters()))
        assert float(norm) == pytest.approx(length, rel=1e-5)
        for p in theirs.parameters():
            p.grad.mul_(min(1.0, 0.5 / length))
        adam.param_groups[0]["lr"] = 0.1 / (step + 1)
        adam.step()
    torch.testing.assert_close(ours.weight, theirs.weight)
    assert ours.weight.grad is None


class Game:
    """A tokenizer and a discriminator in small, with what makes two engines hard: a frozen pass, an adaptive weight."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        self.generator = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.SiLU(), nn.Conv2d(6, 3, 3, padding=1))
        self.discriminator = nn.Sequential(nn.Conv2d(3, 6, 3), nn.LeakyReLU(0.2), nn.Conv2d(6, 1, 3))

    def losses(self, x: Tensor) -> tuple[Tensor, Tensor]:
        made = self.generator(x)
        self.discriminator.requires_grad_(False)
        heard = -self.discriminator(made).mean()
        self.discriminator.requires_grad_(True)
        pixels = (made - x).abs().mean()
        last = self.generator[2].weight
        norms = [torch.autograd.grad(value, last, retain_graph=True)[0].norm() for value in (pixels, heard)]
        fake, real = self.discriminator(made.detach()), self.discriminator(x)
        return pixels + norms[0] / (norms[1] + 1e-4) * heard, (1 + fake).relu().mean() + (1 - real).relu().mean()

    def play(self, engines: tuple[Engine, Engine], steps: range, seed: int = 0) -> list[Tensor]:
        norms = []
        for step in steps:
            for micro in range(SHARE.accumulation):
                random = torch.Generator().manual_seed(seed + 10 * step + micro)
                x = torch.randn(SHARE.images, 3, 8, 8, generator=random)
                for engine, loss in zip(engines, self.losses(x), strict=True):
                    engine.backward(loss)
            norms += [engine.step(1e-2 / (1 + step)) for engine in engines]
        return norms

    def weights(self) -> list[Tensor]:
        return [p.detach().clone() for p in (*self.generator.parameters(), *self.discriminator.parameters())]


def reference(steps: int) -> tuple[list[Tensor], list[Tensor]]:
    """The same game written with torch alone: mean over micro-batches, clipping, AdamW that spares biases."""
    game, norms = Game(), []
    players = [game.generator, game.discriminator]
    adams = []
    for player in players:
        kernels, biases = ([one for one in player.parameters() if one.ndim == size] for size in (4, 1))
        groups = [{"params": kernels, "weight_decay": 0.05}, {"params": biases, "weight_decay": 0.0}]
        adams.append(torch.optim.AdamW(groups, betas=(0.5, 0.9)))
    for step in range(steps):
        for micro in range(SHARE.accumulation):
            x = torch.randn(SHARE.images, 3, 8, 8, generator=torch.Generator().manual_seed(10 * step + micro))
            for loss in game.losses(x):
                (loss / SHARE.accumulation).backward()
        for player, adam in zip(players, adams, strict=True):
            norms.append(nn.utils.clip_grad_norm_(player.parameters(), 1.0))
            for group in adam.param_groups:
                group["lr"] = 1e-2 / (1 + step)
            adam.step()
            adam.zero_grad()
    return game.weights(), norms


@pytest.fixture
def group() -> Iterator[None]:
    with join("cpu", group_of_one=True):
        yield


def engines(game: Game, name: str, stage: int) -> tuple[Engine, Engine]:
    return (
        build_engine(name, game.generator, OPTIONS, SHARE, key="tokenizer", zero_stage=stage),
        build_engine(name, game.discriminator, OPTIONS, SHARE, key="adversary", zero_stage=stage),
    )


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize(("name", "stage"), ENGINES)
def test_two_engines_step_as_torch_does(name: str, stage: int) -> None:
    weights, norms = reference(4)
    game = Game()
    found = game.play(engines(game, name, stage), range(4))
    torch.testing.assert_close(found, norms)
    torch.testing.assert_close(game.weights(), weights, rtol=0, atol=1e-7)


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize(("name", "stage"), ENGINES)
def test_engines_go_on_bit_for_bit(name: str, stage: int, tmp_path: Path) -> None:
    whole = Game()
    whole.play(engines(whole, name, stage), range(5))
    broken = Game()
    begun = engines(broken, name, stage)
    broken.play(begun, range(2))
    write_files(tmp_path, begun[0].shards() | begun[1].shards())
    resumed = Game()
    again = engines(resumed, name, stage)
    for engine in again:
        engine.load(tmp_path)
    resumed.generator.load_state_dict(broken.generator.state_dict())
    resumed.discriminator.load_state_dict(broken.discriminator.state_dict())
    resumed.play(again, range(2, 5))
    assert all(torch.equal(a, b) for a, b in zip(resumed.weights(), whole.weights(), strict=True))


def rank_main(rank: int, folder: str) -> None:
    """One of two ranks: each stage goes on from its files to what it has been without a stop."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/group", rank=rank, world_size=2)
    for name, stage in ENGINES:
        place = Path(folder) / f"{name}-{stage}"
        place.mkdir(exist_ok=True)
        whole, resumed = Game(), Game()
        begun = engines(whole, name, stage)
        whole.play(begun, range(2), seed=100 * rank)
        dist.barrier()
        write_files(place, begun[0].shards() | begun[1].shards())
        dist.barrier()
        resumed.generator.load_state_dict(whole.generator.state_dict())
        resumed.discriminator.load_state_dict(whole.discriminator.state_dict())
        again = engines(resumed, name, stage)
        for engine in again:
            engine.load(place)
        for game, players in ((whole, begun), (resumed, again)):
            game.play(players, range(2, 5), seed=100 * rank)
        assert all(torch.equal(a, b) for a, b in zip(resumed.weights(), whole.weights(), strict=True)), (name, stage)
        shards = 2 if stage else 1
        assert len(list(place.glob("tokenizer*.pt"))) == shards
    dist.destroy_process_group()


def test_two_ranks_go_on_bit_for_bit(tmp_path: Path) -> None:
    pytest.importorskip("deepspeed")
    torch.multiprocessing.start_processes(rank_main, (str(tmp_path),), nprocs=2, start_method="spawn")


def test_what_is_frozen_is_no_engines() -> None:
    with pytest.raises(InputError, match="tokenizer: expected at least one part that learns, got everything frozen"):
        build_engine("plain", nn.Linear(2, 2).requires_grad_(False), OPTIONS, SHARE, key="tokenizer")


def test_zero_3_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match=r"expected 0, 1 or 2, got 3. ZeRO 3 shards the weights themselves"):
        EngineOptions(zero_stage=3)


def test_a_missing_deepspeed_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    with pytest.raises(PluginError, match=r"pip install \"regionloss\[deepspeed\]\""):
        build_engine("deepspeed", nn.Linear(2, 2), OPTIONS, SHARE, key="tokenizer")


def test_ranks_wait_for_one_another_as_long_as_the_recipe_says() -> None:
    with EngineOptions(name="deepspeed", device="cpu", timeout=7).join():
        assert dist.group.WORLD._get_backend(torch.device("cpu")).options._timeout == timedelta(minutes=7)


def started(options: dict[str, Any]) -> Any:
    settings = EngineOptions(name="deepspeed", options=options).settings
    return build_engine("deepspeed", nn.Linear(2, 2), OPTIONS, Share(4, 2), key="tokenizer", settings=settings)


def test_own_options_reach_deepspeed() -> None:
    pytest.importorskip("deepspeed")
    with join("cpu", group_of_one=True):
        engine = started({"zero_optimization": {"reduce_bucket_size": 1234, "stage": 1}})
        assert engine.engine.zero_reduce_bucket_size() == 1234
        assert engine.engine.gradient_accumulation_steps() == 2


def test_a_bucket_is_a_tenth_of_deepspeed_s_own_unless_the_recipe_says_it() -> None:
    own = {"zero_optimization": {"reduce_bucket_size": 1234}}
    for settings, wanted in (({}, 5 * 10**7), (own, 1234)):
        assert deepspeed_config(OPTIONS, SHARE, 1, settings)["zero_optimization"]["reduce_bucket_size"] == wanted


CONTRADICTIONS = [
    ({"zero_optimization": {"stage": 2}}, r"zero_optimization\.stage: expected 1, as engine\.zero_stage has it, got 2"),
    ({"gradient_clipping": 0.5}, r"gradient_clipping: expected 1\.0, as optimizer\.clip has it, got 0\.5"),
    ({"train_batch_size": 8}, r"train_batch_size: expected 4, as a phase's batch_size has it, got 8"),
    ({"bf16": {"enabled": True}}, r"bf16\.enabled: expected False, as engine\.precision has it, got True"),
    ({"fp16": {"enabled": True}}, r"fp16\.enabled: expected False, as engine\.precision has it"),
    ({"optimizer": {"type": "Lamb"}}, r"optimizer: expected no such option, got .*The recipe's optimizer says it"),
    ({"zero_optimization": {"offload_optimizer": {"device": "nvme"}}}, r"offload_optimizer\.device: expected no such"),
    ({"zero_optimization": 3}, r"zero_optimization: expected .*'stage': 1.*, got 3"),
    ({"gradient_cliping": 1.0}, r"gradient_cliping: expected an option of DeepSpeed, got none of them\. Did you mean"),
    ({"zero_optimization": {"bucket": 5}}, r"engine\.options: expected options that DeepSpeed takes, got .*bucket"),
]


@pytest.mark.parametrize(("options", "sentence"), CONTRADICTIONS)
def test_options_that_contradict_the_recipe_are_sentences(options: dict[str, Any], sentence: str) -> None:
    pytest.importorskip("deepspeed")
    with join("cpu", group_of_one=True), pytest.raises(ValueError, match=sentence):
        started(options)


def test_options_need_deepspeed_and_auto_leaves_them_to_the_recipe() -> None:
    with pytest.raises(
        ValueError, match=r"options: expected none, since they are DeepSpeed's, got bf16 for the engine"
    ):
        EngineOptions(options={"bf16": {"enabled": False}})
    auto = {"train_batch_size": "auto", "zero_optimization": {"stage": "auto"}, "optimizer": "auto"}
    assert deepspeed_config(OPTIONS, SHARE, 1, auto) == deepspeed_config(OPTIONS, SHARE, 1)
