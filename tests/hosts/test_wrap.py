"""What wrap takes, what it refuses and why, and hosts that are not among the known ones."""

from __future__ import annotations

import warnings
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regionloss as rl
from regionloss.backbones.frozen import Frozen
from regionloss.hosts.call import SILENT_CALLS
from tests.disk_plugins import write_distribution
from tests.helpers import backbone, images, text_loss, text_regions
from tests.hosts.doubles import DOUBLES, LlamaGen, OpenMagvit2, Stage1, Taming
from tests.hosts.test_further_hosts import HOSTS
from tests.hosts.test_known_hosts import ALPHA, make_terms


class Plain(nn.Module):
    """A host of nobody's: returns what it is told to."""

    def __init__(self, form: str = "tensor") -> None:
        super().__init__()
        self.form = form

    def forward(self, images: Tensor, decoded: Any, *, step: int = 0) -> Any:
        first = decoded[0] if isinstance(decoded, list | tuple) else decoded
        loss = (images - first).abs().mean()
        logs = {"l1": loss.detach()}
        forms = {
            "tensor": loss,
            "tuple": (loss, logs),
            "list": [loss, logs],
            "named": namedtuple("Output", "loss logs")(loss, logs),
            "logs first": (logs, loss),
            "mapping": {"loss": loss, **logs},
            "other mapping": {"objective": loss, **logs},
        }
        return forms[self.form]


SPEC = rl.HostSpec("images", "decoded", adaptive_weight=None)


def pair(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    return images(3, dtype=dtype), images(3, dtype=dtype, seed=1)


def term(target: Tensor, reconstruction: Tensor) -> Tensor:
    return ALPHA * text_loss()(reconstruction, target, text_regions())


@pytest.mark.parametrize(
    ("form", "place", "get"),
    [
        ("tensor", None, lambda out: (out, {})),
        ("tuple", None, lambda out: out),
        ("tuple", 0, lambda out: out),
        ("list", None, lambda out: out),
        ("named", None, lambda out: (out.loss, out.logs)),
        ("logs first", 1, lambda out: (out[1], out[0])),
        ("mapping", None, lambda out: (out["loss"], out)),
        ("other mapping", "objective", lambda out: (out["objective"], out)),
    ],
)
def test_a_loss_may_come_in_any_form(form: str, place: Any, get: Any) -> None:
    target, reconstruction = pair()
    host = Plain(form)
    spec = rl.HostSpec("images", "decoded", loss=place, log_prefix="mine/")
    wrapped = rl.wrap(host, spec, make_terms())
    plain = host(target, reconstruction)
    with rl.use_regions(text_regions()):
        output = wrapped(target, decoded=reconstruction)
    assert type(output) is type(plain) or form == "named"
    value, logs = get(output)
    torch.testing.assert_close(value, get(plain)[0] + term(target, reconstruction), atol=1e-6, rtol=0)
    ours = {"mine/region/text", "mine/region/text_count", "mine/region/total"}
    assert ours == set(wrapped.last_logs)
    assert form == "tensor" or ours <= set(logs)
    assert not ours & set(get(plain)[1])


def test_a_loss_that_is_not_where_it_should_be_is_a_sentence() -> None:
    for form, place in (("other mapping", None), ("tuple", 1), ("tensor", "loss"), ("tuple", 7)):
        wrapped = rl.wrap(Plain(form), rl.HostSpec("images", "decoded", loss=place), make_terms())
        with (
            rl.use_regions(text_regions()),
            pytest.raises(rl.RegionLossError, match=r"Plain\.forward: expected .*loss"),
        ):
            wrapped(*pair())


def test_a_host_that_sums_over_an_image_takes_the_terms_times_its_size() -> None:
    """As diffusers' and latent-diffusion's KL losses: `nll = sum / B`."""
    target, reconstruction = pair(torch.float64)
    spec = rl.HostSpec("images", "decoded", reduction="sum_per_image")
    with rl.use_regions(text_regions()):
        value = rl.wrap(Plain(), spec, make_terms())(target, reconstruction)
    wanted = Plain()(target, reconstruction) + term(target, reconstruction) * 3 * 40 * 48
    torch.testing.assert_close(value, wanted, atol=1e-9, rtol=1e-9)


def test_several_reconstructions_are_averaged() -> None:
    target, first = pair()
    second = images(3, dtype=torch.float32, seed=5)
    with rl.use_regions(text_regions()):
        value = rl.wrap(Plain(), SPEC, make_terms())(target, [first, second])
    wanted = Plain()(target, first) + (term(target, first) + term(target, second)) / 2
    torch.testing.assert_close(value, wanted, atol=1e-6, rtol=0)


def test_images_may_be_in_another_range_on_either_side() -> None:
    target, reconstruction = pair()
    unit = [(image + 1) / 2 for image in (target, reconstruction)]
    wanted = Plain()(*unit) + term(target, reconstruction)
    spec = rl.HostSpec("images", "decoded", value_range=(0, 1))
    of_unit_terms = make_terms(value_range=(0.0, 1.0))
    with rl.use_regions(text_regions()):
        for wrapped in (
            rl.wrap(Plain(), spec, make_terms()),
            rl.wrap(Plain(), SPEC, make_terms(), value_range=(0, 1)),
            rl.wrap(Plain(), spec, of_unit_terms),
        ):
            torch.testing.assert_close(wrapped(*unit), wanted, atol=1e-6, rtol=0)
        other = rl.wrap(Plain(), SPEC, make_terms(value_range=(0.0, 1.0)))
        torch.testing.assert_close(
            other(target, reconstruction), Plain()(target, reconstruction) + wanted - Plain()(*unit)
        )
        with pytest.raises(rl.RegionLossError, match=r"Plain: images: expected values in \[0, 1\]"):
            rl.wrap(Plain(), spec, make_terms())(target, reconstruction)


def test_it_runs_under_autocast() -> None:
    target, reconstruction = pair()
    with torch.autocast("cpu", torch.bfloat16), rl.use_regions(text_regions()):
        value = rl.wrap(Plain(), SPEC, make_terms())(target, reconstruction.bfloat16())
    wanted = Plain()(target, reconstruction) + term(target, reconstruction)
    torch.testing.assert_close(value.float(), wanted, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("values", [5, torch.tensor(5), None])
def test_a_late_term_reads_the_hosts_step(values: Any) -> None:
    spec = rl.HostSpec("images", "decoded", step="step")
    late = rl.LossTerms({"text": rl.Term(text_loss(), "text", ALPHA, start_step=6)})
    target, reconstruction = pair()
    wrapped, plain = rl.wrap(Plain(), spec, late), Plain()(target, reconstruction)
    with rl.use_regions(text_regions()):
        before = wrapped(target, reconstruction, step=values)
        after = wrapped(target, reconstruction, step=6)
    torch.testing.assert_close(after, plain + term(target, reconstruction), atol=1e-6, rtol=0)
    assert torch.equal(before, after if values is None else plain)


class Learned(nn.Module):
    """A distance with a weight of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(1))

    def forward(self, features: Any, target_features: Any) -> Tensor:
        return self.scale * sum(
            (a - b).pow(2).flatten(1).mean(1) for a, b in zip(features, target_features, strict=True)
        )


def test_terms_follow_the_hosts_device_and_keep_their_precision() -> None:
    loss = rl.RegionPerceptualLoss(rl.ResizeExtractor(size=(8, 8)), backbone(), Learned())
    terms = rl.LossTerms({"text": rl.Term(loss, "text")})
    model = nn.Module()
    model.loss = rl.wrap(Taming(), "taming", terms)
    model.double()
    assert loss.distance.scale.dtype == torch.float32
    assert model.loss.discriminator.weight.dtype == torch.float64
    model.to("meta")
    assert loss.distance.scale.device.type == "meta"
    assert isinstance(loss.backbone, Frozen)
    assert not any("scale" in key for key in model.state_dict())


def refused(host: Any, preset: Any, *parts: str, terms: Any = None, **options: Any) -> None:
    with pytest.raises(rl.RegionLossError) as caught:
        rl.wrap(host, preset, make_terms() if terms is None else terms, **options)
    for part in parts:
        assert part in str(caught.value), caught.value


def test_what_cannot_be_wrapped_is_refused_with_the_reason() -> None:
    refused(Stage1(), "1d-tokenizer", "Stage1.forward(target_codes", "inputs", "compares codes, not images")
    refused(Stage1(), "auto", "compares codes, not images")
    refused(Plain(), "taming", "Plain.forward(images, decoded, step)", "none named inputs", "HostSpec(target=")
    refused(Plain(), "auto", "signature of a known host", "HostSpec(target=")
    refused(LlamaGen(), "taming", "none named split", "'llamagen'")
    refused(Plain(), rl.HostSpec("images", "reconstructed"), "none named reconstructed")
    refused(OpenMagvit2(), "auto", "open-magvit2, wetok", "Name the one that it is.")
    refused(Taming(), "tamming", "Did you mean 'taming'?")
    refused(Taming(), None, "a name, 'auto' or a HostSpec")
    refused(nn.functional.l1_loss, "auto", "torch.nn.Module", "terms(reconstruction, target, regions).total")
    refused(Taming(), "taming", "LossTerms", terms={"text": 1.0})
    refused(rl.wrap(Taming(), "taming", make_terms()), "taming", "wrapped already")
    refused(Plain(), rl.HostSpec("images", "decoded"), "calculate_adaptive_weight", in_nll=True)
    mixed = {"a": rl.Term(text_loss(), "text"), "b": rl.Term(text_loss(value_range=(0, 1)), "text")}
    refused(Taming(), "taming", "one value_range", terms=rl.LossTerms(mixed))
    compiled = Taming()
    compiled.forward = compiled.forward
    refused(compiled, "taming", "Wrap it first")
    with pytest.raises(rl.RegionLossError, match="reduction"):
        rl.HostSpec("images", "decoded", reduction="total")


def test_codes_where_images_should_be_are_refused_when_they_come() -> None:
    wrapped = rl.wrap(Plain(), SPEC, make_terms())
    codes = torch.zeros(3, 16, dtype=torch.int64)
    with rl.use_regions(text_regions()), pytest.raises(rl.RegionLossError, match="have no regions"):
        wrapped(codes, codes.float())
    with rl.use_regions(text_regions()), pytest.raises(rl.RegionLossError, match="Fold time into the batch"):
        wrapped(torch.zeros(1, 2, 3, 40, 48), torch.zeros(1, 2, 3, 40, 48))  # time first


def test_a_call_that_the_host_refuses_fails_as_it_did() -> None:
    with rl.use_regions(text_regions()), pytest.raises(TypeError, match="missing 1 required positional argument"):
        rl.wrap(Plain(), SPEC, make_terms())(images(3))


def test_regions_of_another_batch_are_a_sentence() -> None:
    wrapped = rl.wrap(Plain(), SPEC, make_terms())
    target, reconstruction = pair()
    with rl.use_regions(text_regions(num_images=3)), pytest.raises(rl.RegionLossError, match="micro-batch"):
        wrapped(target[:2], reconstruction[:2])


def test_a_loop_that_never_publishes_regions_is_told_once() -> None:
    wrapped = rl.wrap(Plain(), SPEC, make_terms())
    for _ in range(SILENT_CALLS - 1):
        wrapped(*pair())
    with pytest.warns(UserWarning, match=r"bind_batch\(model, key='regions'\)"):
        wrapped(*pair())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2 * SILENT_CALLS):
            wrapped(*pair())
        other = rl.wrap(Plain(), SPEC, make_terms())
        for _ in range(2 * SILENT_CALLS):
            with rl.use_regions(None):  # said so
                other(*pair())


def test_whole_image_terms_need_nothing_published() -> None:
    whole = rl.LossTerms({"all": rl.Term(text_loss(), "whole_image", 2.0)})
    target, reconstruction = pair()
    found = rl.wrap(Plain(), SPEC, whole)(target, reconstruction)
    wanted = Plain()(target, reconstruction) + whole(reconstruction, target, None).total
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
    assert found > Plain()(target, reconstruction)


def test_somebody_elses_package_may_bring_a_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REGIONLOSS_PLUGINS", "sketching")
    source = (
        "from regionloss.hooks import hookimpl\n@hookimpl\ndef register_hosts(register):\n"
        "    register('sketch', 'sketch_hosts:SKETCH', summary='a loss of drawings')\n"
        "    register('wrong', 'sketch_hosts:WRONG', summary='no specification')\n"
    )
    write_distribution(tmp_path, "sketching", source)
    (tmp_path / "sketch_hosts.py").write_text(
        "import regionloss\nWRONG = 3\n"
        "SKETCH = regionloss.HostSpec('images', 'decoded', adaptive_weight=None, parameters=('images', 'decoded'))\n"
    )
    target, reconstruction = pair()
    for name in ("sketch", "sketching/sketch", "auto"):
        with rl.use_regions(text_regions()):
            value = rl.wrap(Plain(), name, make_terms())(target, reconstruction)
        wanted = Plain()(target, reconstruction) + term(target, reconstruction)
        torch.testing.assert_close(value, wanted, atol=1e-6, rtol=0)
    refused(Plain(), "wrong", "a HostSpec", "int")


def test_every_known_host_is_listed() -> None:
    from regionloss.hooks.catalogue import build_catalogue

    listed = {component.name: component for component in build_catalogue([]).components("host")}
    further = {name.split(",")[0] for name in HOSTS}
    assert listed.keys() == DOUBLES.keys() | further
