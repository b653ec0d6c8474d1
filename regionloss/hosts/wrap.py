"""`regionloss.wrap`: which host it is, whether it can take region terms, and the wrapped loss."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from regionloss.errors import InputError, PluginError, UnknownNameError, did_you_mean, expected
from regionloss.hosts.call import Wrapping
from regionloss.hosts.host_spec import HostSpec
from regionloss.hosts.methods import first_argument
from regionloss.hosts.subclass import WithRegions, wrapped
from regionloss.losses.terms import LossTerms

CODES = re.compile(r"code(s|_?ind)|token|logit|label|indices|(^|_)ids?$")


def wrap(
    host: nn.Module,
    preset: str | HostSpec,
    terms: LossTerms,
    *,
    in_nll: bool = False,
    value_range: tuple[float, float] | None = None,
) -> nn.Module:
    """Return an existing loss with region terms: on the generator's turn, `host(...) + sum_t weight_t * term_t`.

    What is returned is an instance of the host's class that shares all its state: its attributes, its `state_dict()`
    and its `parameters()` are the host's. The host itself goes on as before. Regions are published by `use_regions` or
    `bind_batch`; where none are, the call is the host's own. The terms are computed in float32, outside autocast. Of a
    loss inside DistributedDataParallel the inner one is replaced, and the same DistributedDataParallel returned.

    Args:
        host: A loss that compares images.
        preset: Name of a known host, or a `HostSpec`; or `"auto"`, to know it by its signature, where all known hosts
            with that signature are read alike.
        terms: Region terms to add to the loss.
        in_nll: Whether a discriminator's adaptive weight sees the terms as a part of the reconstruction loss. The paper
            uses a fixed weight, hence False.
        value_range: Range of the host's images where it is not the preset's.

    Raises:
        InputError: A host that compares no images, whose images cannot be found, or that several presets fit and
            read in different ways.
        UnknownNameError: No host has this name.

    Source: InsightTok, eq. 3.

    Example:
        >>> import torch, regionloss as rl
        >>> class Loss(torch.nn.Module):
        ...     def forward(self, images, decoded):
        ...         return (images - decoded).abs().mean()
        >>> spec = rl.HostSpec("images", "decoded")
        >>> isinstance(rl.wrap(Loss(), spec, rl.LossTerms({})), Loss)
        True
    """
    if isinstance(host, nn.parallel.DistributedDataParallel):
        host.module = wrap(host.module, preset, terms, in_nll=in_nll, value_range=value_range)
        return host
    check_host(host, terms)
    spec = (preset if isinstance(preset, HostSpec) else named(preset, host)).reduced_by(host)
    if value_range is not None:
        spec = replace(spec, value_range=value_range)
    check_spec(host, spec, in_nll)
    return wrapped(Wrapping(host, spec, terms, in_nll))


def check_host(host: Any, terms: Any) -> None:
    """Raise InputError for what cannot be wrapped at all."""
    if not isinstance(terms, LossTerms):
        advice = "regionloss.load_terms(path) or LossTerms.from_names({'text': 0.0025}) makes them."
        raise InputError(expected("wrap: terms", "LossTerms", type(terms).__name__, advice))
    if not isinstance(host, nn.Module):
        advice = "To a function's value add terms(reconstruction, target, regions).total."
        raise InputError(expected("wrap: host", "a loss that is a torch.nn.Module", type(host).__name__, advice))
    where = f"wrap: {type(host).__name__}"
    if isinstance(host, WithRegions):
        raise InputError(expected(where, "a loss", "one that is wrapped already", "Give it all its terms at once."))
    if "forward" in vars(host) or getattr(host, "_compiled_call_impl", None) is not None:
        advice = "Wrap it first; compile or prepare it (torch.compile, accelerate) afterwards."
        raise InputError(expected(where, "the loss itself", "one whose forward was replaced on the object", advice))


def check_spec(host: nn.Module, spec: HostSpec, in_nll: bool) -> None:
    """Raise InputError for a host whose images, or what else the specification names, cannot be found."""
    names = parameters_of(host)
    missing = [name for name in spec.needed if name not in names]
    if missing:
        wanted = f"parameters {', '.join(spec.needed)}"
        raise InputError(expected(call_of(host, names), wanted, f"none named {missing[0]}", reason(host, names)))
    method = spec.adaptive_weight if in_nll else None
    if method is not None and first_argument(type(host), method) is None:
        advice = "Leave in_nll=False, or name the method in HostSpec.adaptive_weight."
        got = "a host without such a method"
        raise InputError(expected(f"wrap: {type(host).__name__}", f"a method {method}(self, nll, ...)", got, advice))


def named(preset: object, host: nn.Module) -> HostSpec:
    """Return a registered specification by its name, or the one that fits the host's signature."""
    if not isinstance(preset, str):
        advice = "For example regionloss.wrap(loss, 'taming', terms)."
        raise InputError(expected("wrap: preset", "a name, 'auto' or a HostSpec", type(preset).__name__, advice))
    # Late: hosts are named here alone.
    from regionloss.hooks.catalogue import catalogue

    if preset == "auto":
        return recognised(host)
    try:
        spec = catalogue().load("host", preset)
    except UnknownNameError as error:
        raise UnknownNameError(f"{error} Or 'auto', or a HostSpec.") from None
    if not isinstance(spec, HostSpec):
        raise PluginError(expected(f"host '{preset}'", "a HostSpec", type(spec).__name__))
    return spec


def recognised(host: nn.Module) -> HostSpec:
    """Return the registered specification whose parameters the host's `forward` starts with; of several, if alike.

    What fits more of the signature than others is meant.
    """
    names = parameters_of(host)
    fits = fitting(names)
    most = max((len(spec.parameters) for spec in fits.values()), default=0)
    found = {name: spec for name, spec in fits.items() if len(spec.parameters) == most}
    where = call_of(host, names)
    if not found:
        raise InputError(expected(where, "the signature of a known host", "another", reason(host, names)))
    first, *others = found.values()
    if any(replace(other, parameters=first.parameters) != first for other in others):
        advice = "They are read in different ways. Name the one that it is."
        raise InputError(expected(where, "the signature of one host", f"that of {', '.join(found)}", advice))
    return first


def fitting(names: Sequence[str]) -> dict[str, HostSpec]:
    """Return the registered specifications that fit a signature, by name; a plugin that cannot be imported has none."""
    from regionloss.hooks.catalogue import catalogue

    known, found = catalogue(), {}
    for component in known.components("host"):
        try:
            spec: Any = known.load("host", component.canonical)
        except PluginError:
            continue
        if isinstance(spec, HostSpec) and spec.parameters and tuple(names[: len(spec.parameters)]) == spec.parameters:
            found[component.name] = spec
    return found


def parameters_of(host: nn.Module) -> list[str]:
    """Return the names of the parameters of a host's `forward`."""
    try:
        return list(inspect.signature(host.forward).parameters)
    except (TypeError, ValueError):
        return []


def call_of(host: nn.Module, names: Sequence[str]) -> str:
    """Return how a message names a host."""
    return f"{type(host).__name__}.forward({', '.join(names)})"


def reason(host: nn.Module, names: Sequence[str]) -> str:
    """Return why a host was refused, and what to do."""
    if any(CODES.search(name) for name in names) and not fitting(names):
        return "It compares codes, not images; codes have no regions. Wrap a loss that sees images."
    if fits := list(fitting(names)):
        return f"Its signature is that of {' or '.join(map(repr, fits))}."
    other = "A HostSpec says which parameters hold the images: HostSpec(target='...', reconstruction='...')."
    return f"{other} {did_you_mean('reconstructions', names)}"
