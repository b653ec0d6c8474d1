"""The laws of `wrap`, for a double of every known host; values by hand from the host's own and the terms' own."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regionloss as rl
from tests.helpers import text_loss, text_regions
from tests.hosts.doubles import DOUBLES, Double

ALPHA = 0.7
TURNS = [(name, turn) for name, double in DOUBLES.items() for turn in (*double.generator, double.critic)]
GENERATOR = [(name, turn) for name, double in DOUBLES.items() for turn in double.generator]


def make_terms(**options: Any) -> rl.LossTerms:
    return rl.LossTerms({"text": rl.Term(text_loss(**options), "text", ALPHA)})


def layer() -> Tensor:
    torch.manual_seed(1)
    return (torch.randn(3, 3, 1, 1) * 0.1 + torch.eye(3)[:, :, None, None]).requires_grad_()


def run(double: Double, loss: nn.Module, turn: object, regions: Any = "unpublished") -> tuple[Tensor, dict, list]:
    """Return loss, logs and gradients (of the decoder and of the loss's own parameters) of one step."""
    weight = layer()
    loss.zero_grad()
    state = copy.deepcopy(loss.state_dict())
    torch.manual_seed(2)  # dropout
    target, reconstruction = double.pair(weight)
    if isinstance(regions, str):
        output = double.call(loss, target, reconstruction, weight, turn)
    else:
        with rl.use_regions(regions):
            output = double.call(loss, target, reconstruction, weight, turn)
    value, logs = output if isinstance(output, tuple) else (output, {})
    value.backward()
    loss.load_state_dict(state)  # running averages
    gradients = [None if p.grad is None else p.grad.clone() for p in (weight, *loss.parameters())]
    return value.detach(), logs, gradients


def assert_same(found: tuple[Tensor, dict, list], wanted: tuple[Tensor, dict, list]) -> None:
    """Bit for bit."""
    assert torch.equal(found[0], wanted[0])
    assert found[1].keys() == wanted[1].keys()
    assert all(torch.equal(torch.as_tensor(found[1][k]), torch.as_tensor(v)) for k, v in wanted[1].items())
    for ours, theirs in zip(found[2], wanted[2], strict=True):
        assert (ours is None and theirs is None) or torch.equal(ours, theirs)


@pytest.mark.parametrize(("name", "turn"), TURNS)
@pytest.mark.parametrize("in_nll", [False, True])
@pytest.mark.parametrize("regions", ["unpublished", None])
def test_without_regions_nothing_changes(name: str, turn: object, in_nll: bool, regions: Any) -> None:
    double = DOUBLES[name]
    host = double.make()
    wrapped = rl.wrap(host, name, make_terms(), in_nll=in_nll)
    assert_same(run(double, wrapped, turn, regions), run(double, host, turn))


@pytest.mark.parametrize(("name", "turn"), GENERATOR)
def test_the_value_is_the_hosts_plus_alpha_times_the_term(name: str, turn: object) -> None:
    double = DOUBLES[name]
    host = double.make()
    wrapped = rl.wrap(host, name, make_terms())
    before, logs_before, _ = run(double, host, turn)
    after, logs, gradients = run(double, wrapped, turn, text_regions())
    term = term_of(double, layer())
    assert term > 0.01
    torch.testing.assert_close(after, before + term.detach(), atol=1e-6, rtol=0)
    weight = layer()
    host_value, term_value = value_of(double, host, turn, weight), term_of(double, weight)
    (wanted,) = torch.autograd.grad(host_value + term_value, [weight])
    torch.testing.assert_close(gradients[0], wanted, atol=1e-6, rtol=1e-5)
    assert {key: logs[key] for key in logs_before} == logs_before
    shown = logs if logs_before else wrapped.last_logs
    assert set(shown) - set(logs_before) == {f"{double.prefix}region/{n}" for n in ("text", "text_count", "total")}
    for key in set(shown) - set(logs_before):
        assert shown[key].ndim == 0
        assert not shown[key].requires_grad
    torch.testing.assert_close(shown[f"{double.prefix}region/total"], term.detach(), atol=1e-6, rtol=0)


def value_of(double: Double, loss: nn.Module, turn: object, weight: Tensor) -> Tensor:
    torch.manual_seed(2)
    output = double.call(loss, *double.pair(weight), weight, turn)
    return output[0] if isinstance(output, tuple) else output


def term_of(double: Double, weight: Tensor) -> Tensor:
    target, reconstruction = double.pair(weight)
    if double.low == 0:
        target, reconstruction = target * 2 - 1, reconstruction * 2 - 1
    return ALPHA * text_loss()(reconstruction, target, text_regions())


@pytest.mark.parametrize(("name", "turn"), GENERATOR)
def test_an_adaptive_weight_sees_the_terms_if_it_shall(name: str, turn: object) -> None:
    """By hand: host - w(nll) g + w(nll + term) g + term, with the host's own method for w."""
    double = DOUBLES[name]
    host = double.make()
    after, _, _ = run(double, rl.wrap(host, name, make_terms(), in_nll=True), turn, text_regions())
    weight = layer()
    value, term = value_of(double, host, turn, weight), term_of(double, weight)
    if name != "1d-tokenizer":  # has no adaptive weight
        target, reconstruction = double.pair(weight)
        torch.manual_seed(2)
        nll, g_loss = host.nll(target, reconstruction), -host.discriminator(reconstruction).mean()
        adaptive = host.calculate_adaptive_weight
        change = adaptive(nll + term, g_loss, weight) - adaptive(nll, g_loss, weight)
        assert change.abs() > 1e-3
        value = value + change * g_loss
    torch.testing.assert_close(after, (value + term).detach(), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", DOUBLES)
def test_the_discriminators_turn_costs_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    double = DOUBLES[name]
    host, terms = double.make(), make_terms()
    wrapped = rl.wrap(host, name, terms)
    plain = run(double, host, double.critic)
    monkeypatch.setattr(rl.LossTerms, "forward", lambda *_: pytest.fail("the terms were called"))
    assert_same(run(double, wrapped, double.critic, text_regions()), plain)
    assert wrapped.last_logs == {}


@pytest.mark.parametrize("name", DOUBLES)
def test_a_batch_that_holds_no_region_logs_zeros_and_keeps_the_value(name: str) -> None:
    """Other ranks have regions: each must log the same keys."""
    double = DOUBLES[name]
    host = double.make()
    wrapped = rl.wrap(host, name, make_terms())
    turn = double.generator[0]
    value, logs, gradients = run(double, wrapped, turn, {"text": rl.Regions.empty("text", (40, 48), 3)})
    plain = run(double, host, turn)
    ours = {f"{double.prefix}region/{key}": 0.0 for key in ("text", "text_count", "total")}
    assert {key: float(wrapped.last_logs[key]) for key in wrapped.last_logs} == ours
    kept = {key: entry for key, entry in logs.items() if key not in ours}
    assert_same((value, kept, gradients), plain)


@pytest.mark.parametrize("name", DOUBLES)
def test_it_is_the_host(name: str) -> None:
    double = DOUBLES[name]
    host, terms = double.make(), make_terms()
    before = {id(p) for p in host.parameters()}, list(host.state_dict()), [n for n, _ in host.named_modules()]
    wrapped = rl.wrap(host, name, terms)
    assert isinstance(wrapped, double.make)
    assert wrapped is not host
    assert type(host) is double.make
    after = {id(p) for p in wrapped.parameters()}, list(wrapped.state_dict()), [n for n, _ in wrapped.named_modules()]
    assert after == before
    assert wrapped.discriminator is host.discriminator
    wrapped.perceptual_weight = 0.0
    assert host.perceptual_weight == 0.0
    wrapped.eval()
    assert not host.training
    checkpoint = {key: torch.full_like(value, 0.25) for key, value in double.make().state_dict().items()}
    wrapped.load_state_dict(checkpoint)
    assert torch.equal(host.discriminator.weight, checkpoint["discriminator.weight"])


@pytest.mark.parametrize("name", DOUBLES)
@pytest.mark.parametrize("how", ["deepcopy", "save"])
def test_it_survives_copies_and_files(name: str, how: str) -> None:
    double = DOUBLES[name]
    model = nn.Module()
    model.loss = rl.wrap(double.make(), name, make_terms(), in_nll=name == "taming")
    if how == "deepcopy":
        other = copy.deepcopy(model)
    else:
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        other = torch.load(file, weights_only=False)
    assert isinstance(other.loss, double.make)
    assert other.loss.discriminator is not model.loss.discriminator
    turn = double.generator[0]
    assert_same(run(double, other.loss, turn, text_regions()), run(double, model.loss, turn, text_regions()))
    with torch.no_grad():
        other.loss.discriminator.weight.zero_()
    assert model.loss.discriminator.weight.abs().sum() > 0
    assert not torch.equal(run(double, other.loss, turn)[0], run(double, model.loss, turn)[0])


@pytest.mark.parametrize("name", DOUBLES)
def test_auto_knows_it_by_its_signature_or_names_the_candidates(name: str) -> None:
    """Taming, OCR-VQGAN and IBQ are read alike; WeTok has a turn that Open-MAGVIT2 has not."""
    double = DOUBLES[name]
    host = double.make()
    if name not in ("open-magvit2", "wetok"):
        wrapped = rl.wrap(host, "auto", make_terms())
        turn = double.generator[0]
        by_name = rl.wrap(host, name, make_terms())
        assert_same(run(double, wrapped, turn, text_regions()), run(double, by_name, turn, text_regions()))
    else:
        with pytest.raises(rl.RegionLossError, match="that of open-magvit2, wetok"):
            rl.wrap(host, "auto", make_terms())
