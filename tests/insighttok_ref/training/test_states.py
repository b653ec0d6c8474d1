"""Bytes that engines keep: the published table of ZeRO, a closed form, and what torch's own optimizer has."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from insighttok_ref.training.engines import ComputeOptions, OptimizerOptions, PlainEngine
from insighttok_ref.training.states import (
    COMMUNICATION,
    GRADIENTS,
    OPTIMIZER,
    WEIGHTS,
    Player,
    Size,
    deepspeed_states,
    engine_needs,
    mixed_precision,
    plain_states,
)

GIB = 2**30
#: GiB of 7.02 billion weights at 16 bytes each, by number of GPUs, at stages 1 to 3.
TABLE = {1: (104.6, 104.6, 104.6), 8: (35.9, 24.5, 13.1), 32: (28.6, 15.9, 3.3), 64: (27.4, 14.5, 1.6)}


@pytest.mark.parametrize("gpus", TABLE)
def test_mixed_precision_by_stage(gpus: int) -> None:
    for stage, wanted in zip((1, 2, 3), TABLE[gpus], strict=True):
        assert mixed_precision(gpus, stage, 7_016_300_544) / GIB == pytest.approx(
            wanted, rel=0.02, abs=0.05
        )  # written with one digit


def test_plain_is_what_torch_s_own_optimizer_keeps() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1))
    module[2].requires_grad_(False)
    engine = PlainEngine(module, OptimizerOptions())
    engine.backward(module(torch.randn(2, 3, 8, 8)).sum())
    gradients = sum(one.grad.nbytes for one in module.parameters() if one.grad is not None)
    engine.step(1e-3)
    averages = [one for state in engine.optimizer.state.values() for one in state.values() if one.dim()]
    assert plain_states(Size.of(module), 1) == {
        WEIGHTS: sum(one.nbytes for one in [*module.parameters(), *module.buffers()]),
        GRADIENTS: gradients,
        OPTIMIZER: sum(one.nbytes for one in averages),
        COMMUNICATION: 0,
    }
    assert plain_states(Size.of(module), 2)[COMMUNICATION] == gradients


def test_what_learns_is_sharded_by_stage_and_what_is_frozen_at_the_last_one() -> None:
    size, ranks = Size(learning=800, frozen=80, buffers=8), 8

    def states(stage: int, **more: object) -> tuple[int, int, int]:
        found = deepspeed_states(size, ranks, {"zero_optimization": {"stage": stage, **more}})
        return found[WEIGHTS], found[GRADIENTS], found[OPTIMIZER]

    assert states(0) == (4 * 880 + 8, 4 * 800, 8 * 800)
    assert states(1) == (4 * 880 + 8, 4 * 800, 12 * 100)
    assert states(2) == (4 * 880 + 8, 4 * 100, 12 * 100)
    assert states(3) == (4 * 110 + 8, 4 * 100, 12 * 100)
    assert states(2, offload_optimizer={"device": "cpu"}) == (4 * 880 + 8, 4 * 100, 0)


def test_16_bit_weights_have_a_copy_in_32() -> None:
    config = {"zero_optimization": {"stage": 0}, "bf16": {"enabled": True}}
    found = deepspeed_states(Size(100), 1, config)
    assert (found[WEIGHTS], found[GRADIENTS], found[OPTIMIZER]) == (200, 200, 1200)
    assert deepspeed_states(Size(100), 1, {**config, "bf16": {"enabled": False}})[OPTIMIZER] == 800


def test_buckets_of_communication_are_those_of_the_configuration() -> None:
    def sent(stage: int, **more: object) -> int:
        return deepspeed_states(Size(10**10), 4, {"zero_optimization": {"stage": stage, **more}})[COMMUNICATION]

    assert sent(0) == 0
    assert sent(1) == 4 * 5 * 10**7
    assert sent(2, reduce_bucket_size=10**6) == 4 * 10**6
    assert sent(2, reduce_bucket_size=10**6, overlap_comm=True) == 8 * 10**6
    assert sent(3, reduce_bucket_size=10**6, stage3_max_live_parameters=10**7) == 4 * (10**6 + 10**7)


def test_the_recipe_s_engine_comes_first_and_each_player_has_its_stage() -> None:
    options = ComputeOptions.model_construct(name="deepspeed", zero_stage=2)
    players = [Player(Size(1000)), Player(Size(100), stage=0)]
    found = engine_needs(options, OptimizerOptions(clip=2.0), players, 10, (0, 1, 2), {"average": 7})
    assert [one.name for one in found] == ["ZeRO 2", "ZeRO 0", "ZeRO 1"]
    assert found[0].states[OPTIMIZER] == 12 * 100 + 8 * 100
    assert found[0].states["average"] == 7
    assert found[0].config is not None
    config = found[0].config(4, 3)
    assert (config["train_micro_batch_size_per_gpu"], config["gradient_accumulation_steps"]) == (4, 3)
    assert (config["zero_optimization"]["stage"], config["gradient_clipping"]) == (2, 2.0)


def test_a_plain_optimizer_is_sharded_over_the_ranks() -> None:
    """Both ways are shown, the recipe's own first; of the states the averages alone are shared out."""
    for shard in (False, True):
        options = ComputeOptions(shard_optimizer=shard)
        found = engine_needs(options, OptimizerOptions(), [Player(Size(1000)), Player(Size(200))], 4, (0, 1, 2))
        assert [one.states[OPTIMIZER] for one in found] == [8 * 300, 8 * 1200][:: 1 if shard else -1]
        assert [one.states[WEIGHTS] for one in found] == [4 * 1200, 4 * 1200]
        assert found[0].overrides[1] == f"trainer.options.engine.shard_optimizer={str(shard).lower()}"
    with pytest.raises(ValueError, match="expected false, since it is plain's, got true for 'deepspeed'"):
        ComputeOptions(name="deepspeed", shard_optimizer=True)
