"""Calls out of the ordinary: hosts that call themselves, autocast, recomputation, replicas, unwrapping, fullgraph."""

from __future__ import annotations

import copy
import inspect
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import regionloss as rl
from regionloss.backbones.base import FeatureBackbone
from regionloss.compat.torch import REASONED
from tests.helpers import images, text_loss, text_regions
from tests.hosts.doubles import DOUBLES, LlamaGen, Taming
from tests.hosts.test_known_hosts import ALPHA, make_terms


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, images: Tensor, decoded: Tensor) -> Tensor:
        """Return l1."""
        return self.scale * (images - decoded).abs().mean()


SPEC = rl.HostSpec("images", "decoded", adaptive_weight=None)


def pair() -> tuple[Tensor, Tensor]:
    return images(3, dtype=torch.float32), images(3, dtype=torch.float32, seed=1)


def term(target: Tensor, reconstruction: Tensor) -> Tensor:
    return ALPHA * text_loss()(reconstruction, target, text_regions())


class CallsItself(nn.Module):
    """By `self(...)` and by `self.forward(...)`, two levels deep."""

    def forward(self, images: Tensor, decoded: Tensor, turn: str = "generator", depth: int = 0) -> Tensor:
        loss = (images - decoded).abs().mean()
        if depth < 2:
            loss = loss + self(images, decoded, "generator", depth + 1) + self.forward(images, decoded, turn, 2)
        return loss


@pytest.mark.parametrize("in_nll", [False, True])
def test_a_host_that_calls_itself_takes_the_terms_once(in_nll: bool) -> None:
    spec = rl.HostSpec("images", "decoded", is_generator=rl.Turn("turn", "generator"), adaptive_weight=None)
    target, reconstruction = pair()
    wrapped = rl.wrap(CallsItself(), spec, make_terms(), in_nll=in_nll)
    plain = CallsItself()(target, reconstruction)
    with rl.use_regions(text_regions()):
        found = wrapped(target, reconstruction)
        critic = wrapped(target, reconstruction, "discriminator")
        again = wrapped(target, reconstruction)
    torch.testing.assert_close(found, plain + term(target, reconstruction), atol=1e-6, rtol=0)
    assert torch.equal(again, found)
    assert torch.equal(critic, CallsItself()(target, reconstruction, "discriminator"))


def test_a_wrapped_loss_inside_another_one_keeps_its_own_terms() -> None:
    class Outer(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.inner = rl.wrap(Plain(), SPEC, make_terms())

        def forward(self, images: Tensor, decoded: Tensor) -> Tensor:
            return self.inner(images, decoded)

    target, reconstruction = pair()
    with rl.use_regions(text_regions()):
        found = rl.wrap(Outer(), SPEC, make_terms())(target, reconstruction)
    wanted = Plain()(target, reconstruction) + 2 * term(target, reconstruction)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_under_autocast_the_term_is_computed_in_full_precision(dtype: torch.dtype) -> None:
    """Networks that would bear less included; the reconstruction may be in half precision."""
    target, reconstruction = pair()
    reconstruction = reconstruction.to(dtype).requires_grad_()
    assert FeatureBackbone(nn.Conv2d(3, 4, 3), rl.InputSpec()).autocast
    wrapped = rl.wrap(Plain(), SPEC, make_terms())
    with torch.autocast("cpu", torch.bfloat16), rl.use_regions(text_regions()):
        plain = Plain()(target, reconstruction)
        found = wrapped(target, reconstruction)
    wanted = term(target, reconstruction.detach().float())
    torch.testing.assert_close(found - plain, wanted, atol=1e-6, rtol=0)
    assert torch.equal(wrapped.last_logs["region/total"], wanted)
    found.backward()
    assert reconstruction.grad is not None
    assert reconstruction.grad.dtype == dtype


def test_an_explicit_none_is_the_hosts_own_loss_also_for_whole_images() -> None:
    whole = rl.LossTerms({"all": rl.Term(text_loss(), "whole_image", 2.0)})
    target, reconstruction = pair()
    host = Plain()
    wrapped = rl.wrap(host, SPEC, whole)
    with rl.use_regions(None):
        assert torch.equal(wrapped(target, reconstruction), host(target, reconstruction))
    assert wrapped.last_logs == {}
    assert wrapped(target, reconstruction) > host(target, reconstruction)


def test_what_is_logged_as_the_total_is_what_was_added() -> None:
    target, reconstruction = pair()
    spec = rl.HostSpec("images", "decoded", reduction="sum_per_image", log_prefix="mine/")
    wrapped = rl.wrap(Plain(), spec, make_terms())
    with rl.use_regions(text_regions()):
        added = wrapped(target, reconstruction) - Plain()(target, reconstruction)
    assert added > 100 * term(target, reconstruction)
    torch.testing.assert_close(wrapped.last_logs["mine/region/total"], added.detach(), atol=1e-3, rtol=1e-6)
    own = text_loss()(reconstruction, target, text_regions())
    torch.testing.assert_close(wrapped.last_logs["mine/region/text"], own)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_works_inside_the_block_and_is_refused_outside(reentrant: bool) -> None:
    target, source = pair()
    wrapped = rl.wrap(Plain(), SPEC, make_terms())
    gradients = []
    for how in ("plain", "checkpointed"):
        weight = torch.tensor(0.9, requires_grad=True)
        with rl.use_regions(text_regions()):
            args = (target, weight * source)
            loss = wrapped(*args) if how == "plain" else checkpoint(wrapped, *args, use_reentrant=reentrant)
            loss.backward()
        gradients.append(weight.grad)
    torch.testing.assert_close(*gradients)
    with rl.use_regions(text_regions()):
        loss = checkpoint(wrapped, target, weight * source, use_reentrant=reentrant)
    with pytest.raises(rl.RegionLossError, match="Leave the loss out of what is checkpointed"):
        loss.backward()


def unwrapped(model: nn.Module) -> nn.Module:
    """Return a model as accelerate's `unwrap_model(model, keep_fp32_wrapper=False)` leaves it after mixed precision."""
    forward: Any = model.forward
    while hasattr(forward, "__wrapped__"):
        forward = forward.__wrapped__
    model.forward = forward
    return model


@pytest.mark.parametrize("name", ["taming", "1d-tokenizer"])
def test_unwrapping_a_model_keeps_the_terms(name: str) -> None:
    """1d-tokenizer's forward is decorated itself."""
    double = DOUBLES[name]
    host = double.make().eval()
    wrapped = rl.wrap(host, name, make_terms(), in_nll=True)
    assert not hasattr(wrapped.forward, "__wrapped__")
    assert inspect.signature(wrapped.forward) == inspect.signature(double.make().forward)
    assert wrapped.forward.__name__ == "forward"
    assert wrapped.forward.__doc__ == host.forward.__doc__
    weight = torch.eye(3)[:, :, None, None].requires_grad_()
    x, y = double.pair(weight)
    with rl.use_regions(text_regions()):
        before, logs = double.call(wrapped, x, y, weight, double.generator[0])
        after, _ = double.call(unwrapped(wrapped), x, y, weight, double.generator[0])
    assert torch.equal(before, after)
    assert any("region" in key for key in logs)


def test_a_bound_forward_survives_unwrapping() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loss = rl.wrap(Plain(), SPEC, make_terms())

        def forward(self, batch: Any) -> Tensor:
            return self.loss(*batch["pair"])

    model, batch = Model(), {"pair": pair(), "regions": text_regions()}
    rl.bind_batch(model, methods=("forward",))
    before = model(batch)
    assert torch.equal(unwrapped(model)(batch), before)
    assert before > Plain()(*pair())


def test_a_face_that_the_hosts_code_makes_is_the_host() -> None:
    class Copies(Plain):
        def fresh(self) -> Plain:
            return type(self)()

    target, reconstruction = pair()
    wrapped = rl.wrap(Copies(), SPEC, make_terms())
    fresh = wrapped.fresh()
    with rl.use_regions(text_regions()):
        for one in (fresh, fresh.double().float(), copy.deepcopy(fresh)):
            assert torch.equal(one(target, reconstruction), Plain()(target, reconstruction))
    assert fresh.last_logs == {}
    assert isinstance(fresh, Copies)
    assert list(fresh.state_dict()) == ["scale"]


@pytest.mark.filterwarnings("ignore:.*is deprecated")
def test_replicas_of_data_parallel_fall_back_to_the_host_and_say_so() -> None:
    target, reconstruction = pair()
    wrapped = rl.wrap(Taming(), "taming", make_terms(), in_nll=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrapped._replicate_for_data_parallel()  # no regions: nothing to say
    with rl.use_regions(text_regions()), pytest.warns(UserWarning, match="Taming: region terms do not reach"):
        replica = wrapped._replicate_for_data_parallel()
    replica.perceptual_loss, replica.discriminator = wrapped.perceptual_loss, wrapped.discriminator
    with rl.use_regions(text_regions()):
        _, logs = replica(torch.tensor(0.1), target, reconstruction, 0, 5)
    assert not any("region" in key for key in logs)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_a_full_graph_is_refused_with_the_reason_and_a_whole_model_is_not() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.decoder = nn.Conv2d(3, 3, 1)
            self.loss = rl.wrap(LlamaGen(), "llamagen", make_terms())

        def forward(self, x: Tensor) -> Tensor:
            return self.loss((x.new_zeros(()),) * 4, x, self.decoder(x), 0, 5)

    x, model = pair()[0], Whole()
    reason = "a wrapped loss runs outside the graph" if REASONED else "torch._dynamo.disable"
    with rl.use_regions(text_regions()), pytest.raises(RuntimeError, match=reason):
        torch.compile(model, backend="eager", fullgraph=True)(x)
    counts = torch._dynamo.utils.counters
    counts.clear()
    compiled = torch.compile(model, backend="eager")
    for _ in range(12):  # more often than dynamo compiles one frame again
        with rl.use_regions(text_regions()):
            torch.testing.assert_close(compiled(x), model(x))
    assert counts["frames"]["total"] <= 3
