"""Shares of an optimizer: two ranks are one, each keeps half, and any number of ranks goes on with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist

from insighttok_ref.training.checkpoint import read_saved, write_files
from insighttok_ref.training.engines import OptimizerOptions, PlainEngine
from insighttok_ref.training.optimizer_states import WeightShares
from regionloss.errors import WeightsError

OPTIONS = OptimizerOptions(weight_decay=0.05, clip=0.5)
BATCH = 4


def build() -> nn.Sequential:
    """A module with weights of many sizes, one layout that is not rows first, and one that is frozen."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.SiLU(), nn.Conv2d(16, 16, 3), nn.GroupNorm(4, 16), nn.Flatten(), nn.Linear(256, 8)
    )
    module[2].to(memory_format=torch.channels_last)
    module[3].bias.requires_grad_(False)
    return module


def train(module: nn.Module, engine: PlainEngine, steps: range, rank: int = 0, ranks: int = 1) -> list[Tensor]:
    """Train on a rank's share of a batch; return the norms of the gradients."""
    norms = []
    for step in steps:
        images = torch.randn(BATCH, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        engine.backward(module(images.chunk(ranks)[rank]).square().mean())
        norms.append(engine.step(1e-2 / (1 + step)))
    return norms


def held(engine: PlainEngine) -> int:
    """Return the bytes of an optimizer's averages."""
    states = engine.optimizer.state.values()
    return sum(value.nbytes for state in states for value in state.values() if value.dim())


def rank_main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/group", rank=rank, world_size=2)
    modules = {shard: build() for shard in (False, True)}
    engines = {shard: PlainEngine(module, OPTIONS, shard=shard) for shard, module in modules.items()}
    for shard, module in modules.items():
        train(module, engines[shard], range(3), rank, 2)
    write_files(folder, engines[True].shards())
    torch.save(modules[True].state_dict(), folder / f"stopped-{rank}.pt")
    for shard, module in modules.items():
        train(module, engines[shard], range(3, 6), rank, 2)
    for one, two in zip(modules[True].parameters(), modules[False].parameters(), strict=True):
        assert torch.equal(one, two)
    more = build()  # what one process has saved
    more.load_state_dict(torch.load(folder / "one.pt"))
    engine = PlainEngine(more, OPTIONS, key="one", shard=True)
    engine.load(folder / "one")
    train(more, engine, range(3, 6), rank, 2)
    weights = {"two": modules[True].state_dict(), "more": more.state_dict()}
    torch.save({**weights, "held": held(engines[True])}, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what one process has saved after three steps, and with what two have made of it."""
    folder = tmp_path_factory.mktemp("shares")
    (folder / "one").mkdir()
    module = build()
    engine = PlainEngine(module, OPTIONS, key="one")
    train(module, engine, range(3))
    write_files(folder / "one", engine.shards())
    torch.save(module.state_dict(), folder / "one.pt")
    torch.multiprocessing.start_processes(rank_main, (folder,), nprocs=2, start_method="spawn")
    return folder


def assert_close(weights: dict[str, Tensor]) -> None:
    """Against one process that has seen the whole batches, and never stopped."""
    module = build()
    train(module, PlainEngine(module, OPTIONS), range(6))
    for name, value in module.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=1e-6)


def test_two_ranks_are_one_and_keep_half_of_the_states(folder: Path) -> None:
    """Bit for bit what two ranks without shares have, which `rank_main` compares."""
    first, second = (torch.load(folder / f"{rank}.pt") for rank in (0, 1))
    assert_close(first["two"])
    assert all(torch.equal(first["two"][name], value) for name, value in second["two"].items())
    module = build()
    whole = PlainEngine(module, OPTIONS)
    train(module, whole, range(1))
    assert first["held"] + second["held"] == held(whole)
    assert max(first["held"], second["held"]) < 0.55 * held(whole)


def test_what_two_ranks_have_saved_one_goes_on_with(folder: Path) -> None:
    module = build()
    module.load_state_dict(torch.load(folder / "stopped-0.pt"))
    engine = PlainEngine(module, OPTIONS)
    engine.load(folder)
    train(module, engine, range(3, 6))
    assert_close(module.state_dict())


def test_what_one_has_saved_two_ranks_go_on_with(folder: Path) -> None:
    assert_close(torch.load(folder / "0.pt")["more"])


def anonymous() -> int:
    """Return the bytes of this process that no file backs."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon:")))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no Linux")
def test_a_file_is_mapped_and_let_go(tmp_path: Path) -> None:
    """Tensors stay on the disk until they are used; the optimizer keeps none of them, so that a file may be deleted."""
    module = nn.Linear(2048, 2048)
    engine = PlainEngine(module, OPTIONS)
    module(torch.ones(1, 2048)).sum().backward()
    engine.step(1e-3)
    write_files(tmp_path, engine.shards())
    wanted = engine.optimizer.state[module.weight]["exp_avg_sq"]
    before = anonymous()
    saved = read_saved(tmp_path / "module.pt")
    assert anonymous() - before < 4e6  # of 33
    assert torch.equal(saved["state"][0]["exp_avg_sq"], wanted)
    assert str(tmp_path) in Path("/proc/self/maps").read_text()
    del saved
    resumed = PlainEngine(module, OPTIONS)
    resumed.load(tmp_path)
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()
    assert torch.equal(resumed.optimizer.state[module.weight]["exp_avg_sq"], wanted)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("module.pt", {"state": {}, "param_groups": []}),
        ("module-00000.pt", {"state": {5: {}}, "param_groups": [{"params": [0]}], "names": [["0.weight"]]}),
        ("module-00000.pt", {"state": {}, "param_groups": [{"params": [0]}], "names": [[]]}),
        ("module-00000.pt", {"state": {0: 3}, "param_groups": [{"params": [0]}], "names": [["0.weight"]]}),
    ],
)
def test_odd_files_are_sentences(tmp_path: Path, file: str, content: dict[str, object]) -> None:
    torch.save(content, tmp_path / file)
    with pytest.raises(WeightsError, match="cannot be read as a file of a checkpoint"):
        PlainEngine(build(), OPTIONS).load(tmp_path)


def test_no_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"module\.pt: expected a file of the checkpoint, got none"):
        PlainEngine(build(), OPTIONS).load(tmp_path)


def test_shares_are_even_and_a_rank_may_have_none() -> None:
    sizes = [100, 60, 50, 40, 30, 20]
    shares = WeightShares([nn.Parameter(torch.zeros(size)) for size in sizes], 3)
    assert [sum(map(len, of_rank)) for of_rank in shares.by_rank] == [100, 110, 90]
    alone = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([alone])
    WeightShares([alone], 2).keep(optimizer, 1)
    alone.grad = torch.ones(2)
    optimizer.step()
    assert alone.tolist() == [1, 1]
    assert optimizer.state_dict()["state"] == {}
