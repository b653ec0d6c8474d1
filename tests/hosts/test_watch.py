"""`watch_gradients`: loops with a planted fault are told of it, healthy ones of nothing."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor

import regionloss as rl
from regionloss.losses import PerceptualLoss
from tests.helpers import backbone
from tests.hosts.doubles import Taming
from tests.hosts.healthy_loops import HEALTHY
from tests.hosts.loops import FAULTS, REGIONS, Loop, Plain, WithLpips, summed


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named(name: str) -> None:
    value, change, part = FAULTS[name]
    loop = Loop()
    change(loop)
    with pytest.raises(rl.RegionLossError, match=part) as caught, rl.watch_gradients(loop.terms):
        loop.run(value)
    assert all(line.count(": expected ") == 1 for line in str(caught.value).splitlines())


@pytest.mark.parametrize("name", ["detached", "clamped", "lpips under no_grad", "item", "sigmoid"])
def test_a_fault_is_warned_of_once_and_the_run_goes_on(name: str) -> None:
    value, _, part = FAULTS[name]
    loop = Loop()
    with pytest.warns(UserWarning, match=part) as told, rl.watch_gradients(error=False) as watch:
        loop.run(value, steps=6)
    assert [str(one.message) for one in told] == watch.faults
    assert len(watch.faults) == 1
    assert loop.step == 5


def test_a_batch_in_another_range_is_told_from_a_dark_one() -> None:
    loop = Loop()
    loop.image = (loop.image + 1) / 2
    with (
        pytest.warns(UserWarning, match="a first batch in"),
        pytest.raises(rl.RegionLossError, match=r"expected images in \[-1, 1\], got images in \[0, 1\]"),
        rl.watch_gradients(),
    ):
        loop.run(summed(Tensor.clone))


def test_gradients_that_are_cleared_before_the_step_move_nothing() -> None:
    loop = Loop()
    with pytest.raises(rl.RegionLossError, match="none that changed in 4 steps"), rl.watch_gradients(loop.terms):
        loop.run(summed(Tensor.clone), before_step=loop.optimizer.zero_grad)


def test_a_hosts_perceptual_loss_that_trains_nothing_is_named() -> None:
    loop = Loop()
    host = rl.wrap(WithLpips(), rl.HostSpec("inputs", "reconstructions"), loop.terms)
    with (
        pytest.raises(rl.RegionLossError, match=r"Lpips: .*trains nothing"),
        rl.watch_gradients(host),
        rl.use_regions(REGIONS),
    ):
        loop.run(lambda loop: host(loop.image, loop.reconstruction()))


@pytest.mark.parametrize("wrapped_is_called", [False, True])
def test_regions_that_never_arrive_and_a_wrapped_loss_that_nobody_calls(wrapped_is_called: bool) -> None:
    loop = Loop()
    plain = Plain()
    wrapped = rl.wrap(plain, rl.HostSpec("inputs", "reconstructions"), loop.terms)
    called = wrapped if wrapped_is_called else plain
    part = "use_regions" if wrapped_is_called else r"what regionloss\.wrap returned"
    with pytest.raises(rl.RegionLossError, match=part), rl.watch_gradients(wrapped):
        loop.run(lambda loop: called(loop.image, loop.reconstruction()))


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_loop_is_told_nothing_and_computes_what_it_did(name: str) -> None:
    value, change = HEALTHY[name]
    ends = []
    for watched in (False, True):
        loop = Loop()
        change(loop)
        if watched:
            with rl.watch_gradients(loop.terms) as watch:
                loop.run(value, steps=6)
            assert watch.faults == []
        else:
            loop.run(value, steps=6)
        ends.append([parameter.detach().clone() for parameter in loop.model.parameters()])
    for plain, under_watch in zip(*ends, strict=True):
        assert torch.equal(plain, under_watch)


@pytest.mark.parametrize("in_nll", [False, True])
def test_two_players_with_an_adaptive_weight_are_healthy(in_nll: bool) -> None:
    loop = Loop()
    host = rl.wrap(Taming(), "taming", loop.terms, in_nll=in_nll)
    players = [loop.optimizer, torch.optim.Adam(host.discriminator.parameters())]
    with rl.watch_gradients(host) as watch:
        for step in range(4):
            for turn in (1, 0):
                with rl.use_regions(REGIONS):
                    made = loop.reconstruction()
                    last = loop.model.layers[1].weight
                    loss, _ = host(torch.zeros(1), loop.image, made, turn, step, last_layer=last)
                loss.backward()
                players[turn].step()
                players[turn].zero_grad()
    assert watch.faults == []


def test_a_perceptual_loss_of_whole_images_is_watched_too() -> None:
    loop = Loop()
    perceptual = PerceptualLoss(backbone())
    part = "a reconstruction that takes a gradient"
    with pytest.raises(rl.RegionLossError, match=part), rl.watch_gradients(perceptual):
        loop.run(lambda loop: loop.loss(made := loop.reconstruction()) + perceptual(made.detach(), loop.image))


def test_a_loss_of_somebody_else_is_watched_where_it_is_named() -> None:
    loop = Loop()
    with (
        pytest.raises(rl.RegionLossError, match="Lpips: expected its value in the loss"),
        rl.watch_gradients(loop.lpips),
    ):
        loop.run(lambda loop: loop.loss(made := loop.reconstruction()) + loop.lpips(made, loop.image).mean().item())


def test_after_a_few_steps_nothing_is_left_of_it() -> None:
    loop = Loop()
    with rl.watch_gradients(loop.terms):
        assert torch.nn.modules.module._global_forward_pre_hooks
        loop.run(summed(Tensor.clone), steps=4)
        assert not torch.nn.modules.module._global_forward_pre_hooks
        assert not loop.terms._forward_hooks


def test_a_loss_that_is_watched_can_be_copied_and_pickled() -> None:
    loop = Loop()
    with rl.watch_gradients(loop.terms):
        for other in (copy.deepcopy(loop.terms), pickle.loads(pickle.dumps(loop.terms))):
            made = loop.reconstruction()
            torch.testing.assert_close(
                other(made, loop.image, REGIONS).total, loop.terms(made, loop.image, REGIONS).total
            )


def test_a_compiled_model_is_compiled_once_more_when_the_watch_ends() -> None:
    loop = Loop()
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    loop.model.compile(backend=counter, fullgraph=True)
    with rl.watch_gradients(loop.terms):
        loop.run(summed(Tensor.clone), steps=7)
    assert counter.frame_count == 2
