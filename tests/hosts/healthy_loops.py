"""Healthy loops of few steps: each has something that looks like a fault."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import regionloss as rl
from tests.helpers import images
from tests.hosts.loops import REGIONS, Loop, no_change, summed


def measured(loop: Loop) -> Tensor:
    """LPIPS and terms as measures under no_grad, added up and printed, beside terms that train."""
    made = loop.reconstruction()
    with torch.no_grad():
        distance = loop.lpips(made, loop.image).mean() + loop.region(made)
        history = torch.zeros(()) + distance
    assert float(distance) == float(history.item())
    assert type(pickle.loads(pickle.dumps(distance))) is Tensor
    return loop.loss(made) + loop.region(made)


def weighed_by_a_measure(loop: Loop) -> Tensor:
    made = loop.reconstruction()
    with torch.no_grad():
        weight = loop.lpips(made, loop.image).mean()
    return loop.loss(made) * (1 + weight) + loop.region(made)


def straight_through(made: Tensor) -> Tensor:
    return made + (made.clamp(-1, 1) - made).detach()


def composite(made: Tensor) -> Tensor:
    """An inpainting: what is known is taken from the image, whatever the model made there."""
    mask = torch.zeros(1, 1, 40, 48)
    mask[..., 8:30, 10:30] = 1
    return made * mask + images(3, dtype=torch.float32) * (1 - mask)


def cropped(made: Tensor) -> Tensor:
    wide = functional.pad(made, (4, 4, 4, 4), value=-1.0)
    return wide[:, :, 4:-4, 4:-4]


def grey(made: Tensor) -> Tensor:
    return made[:, :1].expand(-1, 3, -1, -1)


def ramp(loop: Loop) -> Tensor:
    made = loop.reconstruction()
    return loop.loss(made) + min(1.0, loop.step / 1000) * loop.region(made)


def checkpointed(reentrant: bool) -> Callable[[Loop], Tensor]:
    def value(loop: Loop) -> Tensor:
        image = loop.image.clone().requires_grad_(reentrant)
        made = checkpoint(loop.model, image, use_reentrant=reentrant)
        return (made - loop.image).abs().mean() + loop.region(made)

    return value


def in_half_precision(loop: Loop) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        made = loop.reconstruction()
        return loop.loss(made) + loop.region(made)


def validated(loop: Loop) -> Tensor:
    with torch.no_grad():
        loop.region(loop.reconstruction())
    made = loop.reconstruction()
    return loop.loss(made) + loop.region(made)


def discriminators_turn_first(loop: Loop) -> Tensor:
    """A hand-written loop that computes the terms for both players; the discriminator's come first."""
    made = loop.reconstruction()
    if loop.step % 2 == 0:
        detached = made.detach()
        return 0.0 * loop.loss(made) + loop.region(detached)
    return loop.loss(made) + loop.region(made)


def without_regions_at_first(loop: Loop) -> Tensor:
    made = loop.reconstruction()
    regions = REGIONS if loop.step > 2 else {"text": rl.Regions.empty("text", (40, 48), 3)}
    return loop.loss(made) + loop.terms(made, loop.image, regions).total


def accumulated(loop: Loop) -> Tensor:
    for _ in range(2):
        made = loop.reconstruction()
        ((loop.loss(made) + loop.region(made)) / 3).backward()
    made = loop.reconstruction()
    return (loop.loss(made) + loop.region(made)) / 3


def warm_up(loop: Loop) -> None:
    for group in loop.optimizer.param_groups:
        group["lr"] = 1e-8
    loop.optimizer.register_step_post_hook(
        lambda optimizer, *_: [group.update(lr=group["lr"] + 1e-8) for group in optimizer.param_groups] and None
    )


def optimised_pixels(loop: Loop) -> None:
    pixels = nn.Parameter(images(3, dtype=torch.float32, seed=4))
    loop.optimizer = torch.optim.Adam([pixels], lr=1e-2)
    loop.reconstruction = lambda: pixels  # type: ignore[method-assign]


def frozen_encoder(loop: Loop) -> None:
    loop.model.layers[0].requires_grad_(False)


HEALTHY: dict[str, tuple[Callable[[Loop], Tensor], Callable[[Loop], None]]] = {
    "plain": (summed(Tensor.clone), no_change),
    "measures under no_grad": (measured, no_change),
    "a measure as weight": (weighed_by_a_measure, no_change),
    "straight through": (summed(straight_through), no_change),
    "composite": (summed(composite), no_change),
    "padded and cropped": (summed(cropped), no_change),
    "grey": (summed(grey), no_change),
    "ramp from 0": (ramp, no_change),
    "checkpoint": (checkpointed(False), no_change),
    "reentrant checkpoint": (checkpointed(True), no_change),
    "autocast": (in_half_precision, no_change),
    "validation": (validated, no_change),
    "discriminator first": (discriminators_turn_first, no_change),
    "no region at first": (without_regions_at_first, no_change),
    "accumulation": (accumulated, no_change),
    "warm-up": (summed(Tensor.clone), warm_up),
    "pixels": (summed(lambda made: made), optimised_pixels),
    "frozen encoder": (summed(Tensor.clone), frozen_encoder),
}
