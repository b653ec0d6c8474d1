"""Training loops of few steps, each with a planted fault that trains nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import regionloss as rl
from tests.helpers import images, text_loss, text_regions

REGIONS = {"text": text_regions(3)}


class Net(nn.Module):
    """An autoencoder that gives back what it is shown, a little louder."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1))
        for layer in self.layers:
            nn.init.dirac_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.layers[1].weight.data *= 1.1

    def forward(self, image: Tensor) -> Tensor:
        made: Tensor = self.layers(image)
        return made


class Lpips(nn.Module):
    """Somebody else's perceptual loss: a number for each image."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Conv2d(3, 4, 3).requires_grad_(False)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        distance: Tensor = (self.net(input) - self.net(target)).pow(2).mean((1, 2, 3), keepdim=True)
        return distance


class WithLpips(nn.Module):
    """A host whose perceptual loss trains nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.perceptual_loss = Lpips()

    def forward(self, inputs: Tensor, reconstructions: Tensor) -> Tensor:
        with torch.no_grad():
            p_loss = self.perceptual_loss(inputs.contiguous(), reconstructions.contiguous())
        nll: Tensor = (inputs - reconstructions).abs() + 0.1 * p_loss
        return nll.mean()


class Loop:
    """Few steps of a model with terms; a case replaces a part of it."""

    def __init__(self, value_range: tuple[float, float] = (-1, 1)) -> None:
        self.model = Net()
        self.terms = rl.LossTerms({"text": rl.Term(text_loss(value_range=value_range), "text", 0.1)})
        self.lpips = Lpips()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.image = images(3, dtype=torch.float32) * 0.95
        self.step = 0

    def reconstruction(self) -> Tensor:
        made: Tensor = self.model(self.image)
        return made

    def loss(self, made: Tensor) -> Tensor:
        return (made - self.image).abs().mean()

    def region(self, made: Tensor) -> Any:
        return self.terms(made, self.image, REGIONS).total

    def run(self, value: Callable[[Loop], Tensor], steps: int = 5, before_step: Any = None) -> None:
        for self.step in range(steps):
            value(self).backward()
            if before_step:
                before_step()
            self.optimizer.step()
            self.optimizer.zero_grad()


def summed(change: Callable[[Tensor], Tensor]) -> Callable[[Loop], Tensor]:
    """Return a loss whose terms see a changed reconstruction, while its l1 sees it as it is."""

    def value(loop: Loop) -> Tensor:
        made = loop.reconstruction()
        return loop.loss(made) + loop.region(change(made))

    return value


def with_total(change: Callable[[Any], Any]) -> Callable[[Loop], Tensor]:
    """Return a loss in which the terms' value stands changed."""

    def value(loop: Loop) -> Tensor:
        made = loop.reconstruction()
        return loop.loss(made) + change(loop.terms(made, loop.image, REGIONS))

    return value


def eight_bits(made: Tensor) -> Tensor:
    return ((made + 1) * 127.5).clamp(0, 255).byte().float() / 127.5 - 1


def through_numpy(made: Tensor) -> Tensor:
    return torch.from_numpy(made.detach().numpy())


def without_recording(function: Callable[[], Tensor]) -> Tensor:
    with torch.no_grad():
        return function()


def under_no_grad(loop: Loop) -> Tensor:
    made = loop.reconstruction()
    return loop.loss(made) + without_recording(lambda: loop.region(made))


def decoded_under_no_grad(loop: Loop) -> Tensor:
    made = loop.reconstruction()
    return loop.loss(made) + loop.region(without_recording(loop.reconstruction))


def exchanged(loop: Loop) -> Tensor:
    made = loop.reconstruction()
    return loop.loss(made) + loop.terms(loop.image, made, REGIONS).total


def exchanged_and_detached(loop: Loop) -> Tensor:
    made = loop.reconstruction()
    return loop.loss(made) + loop.terms(loop.image, made.detach(), REGIONS).total


def exchanged_with_images_that_take_a_gradient(loop: Loop) -> Tensor:
    made = loop.reconstruction()
    image = loop.image.clone().requires_grad_()
    return loop.loss(made) + loop.terms(image, made, REGIONS).total


def same_images(loop: Loop) -> Tensor:
    made = loop.reconstruction()
    return loop.loss(made) + loop.terms(made, made, REGIONS).total


def forgotten(loop: Loop) -> Tensor:
    made = loop.reconstruction()
    loop.region(made)
    return loop.loss(made)


def lpips_under_no_grad(loop: Loop) -> Tensor:
    """As diffusers' autoencoderkl script has it: a sum of values and of the images' distances."""
    made = loop.reconstruction()
    with torch.no_grad():
        p_loss = loop.lpips(made, loop.image)
    nll = (made - loop.image).pow(2) + 0.5 * p_loss
    return nll.sum() / len(nll) + loop.region(made)


def lpips_by_keyword(loop: Loop) -> Tensor:
    made = loop.reconstruction()
    with torch.no_grad():
        p_loss = loop.lpips(input=made, target=loop.image).mean()
    return sum([loop.loss(made), loop.region(made), p_loss])  # type: ignore[return-value]


def features_under_no_grad(loop: Loop) -> Tensor:
    """A distance written out: the network alone is a module."""
    made = loop.reconstruction()
    with torch.no_grad():
        distance = functional.mse_loss(loop.lpips.net(made), loop.lpips.net(loop.image))
    return torch.stack([loop.loss(made), loop.region(made), distance]).sum()


def from_zero_to_one(made: Tensor) -> Tensor:
    return (made + 1) / 2


def other_parameters(loop: Loop) -> None:
    loop.optimizer = torch.optim.AdamW(nn.Conv2d(3, 1, 3).parameters(), lr=1e-3)


def replaced_model(loop: Loop) -> None:
    loop.model = copy.deepcopy(loop.model)


def no_change(loop: Loop) -> None:
    pass


FAULTS: dict[str, tuple[Callable[[Loop], Tensor], Callable[[Loop], None], str]] = {
    "detached": (summed(Tensor.detach), no_change, "a reconstruction that takes a gradient, got a detached"),
    "data": (summed(lambda made: made.data), no_change, "a reconstruction that takes a gradient"),
    "numpy": (summed(through_numpy), no_change, "a reconstruction that takes a gradient"),
    "eight bits": (summed(eight_bits), no_change, "a reconstruction that takes a gradient"),
    "decoded under no_grad": (decoded_under_no_grad, no_change, "a reconstruction that takes a gradient"),
    "a leaf": (
        summed(lambda made: made.detach().requires_grad_()),
        no_change,
        r"no parameter at all, as after \.detach\(\)\.requires_grad_\(\)",
    ),
    "rounded": (summed(lambda made: (made * 127.5).round() / 127.5), no_change, "a reconstruction that was rounded"),
    "rounded, not straight through": (
        summed(lambda made: made + ((made * 99).round() / 99 - made)),
        no_change,
        "pixels that take a gradient",
    ),
    "clamped": (summed(lambda made: made.clamp(-1, 1)), no_change, "of them clamped, which take none"),
    "clamped in [0, 1]": (
        summed(lambda made: (made / 2 + 0.5).clamp(0, 1) * 2 - 1),
        no_change,
        "of them clamped, which take none",
    ),
    "hardtanh": (summed(functional.hardtanh), no_change, "of them clamped, which take none"),
    "minimum": (
        summed(lambda made: torch.minimum(made, torch.ones(()))),
        no_change,
        "of them clamped, which take none",
    ),
    "where": (summed(lambda made: torch.where(made > 1, 1.0, made)), no_change, "of them clamped, which take none"),
    "terms under no_grad": (under_no_grad, no_change, "got no_grad in all of them|computed under no_grad"),
    "exchanged": (exchanged, no_change, "Exchange the two"),
    "exchanged, detached": (exchanged_and_detached, no_change, r"The order is|the order is \(reconstruction, target"),
    "exchanged, images with gradient": (
        exchanged_with_images_that_take_a_gradient,
        no_change,
        r"what a model made.*order is \(reconstruction, target",
    ),
    "the same images": (same_images, no_change, r"order is \(reconstruction, target"),
    "item": (with_total(lambda out: out.total.item()), no_change, "its value in the loss that goes backward"),
    "detached value": (with_total(lambda out: out.total.detach()), no_change, "its value in the loss that goes"),
    "logs": (with_total(lambda out: out.logs["region/total"]), no_change, r"Add its `total` itself"),
    "forgotten": (forgotten, no_change, "its value in the loss that goes backward, got a loss without it"),
    "times 0": (with_total(lambda out: 0.0 * out.total), no_change, "a weight other than 0"),
    "lpips under no_grad": (lpips_under_no_grad, no_change, r"Lpips: .*computed under no_grad and trains nothing"),
    "lpips by keyword": (lpips_by_keyword, no_change, r"Lpips: .*computed under no_grad and trains nothing"),
    "features under no_grad": (features_under_no_grad, no_change, r"Conv2d: .*under no_grad and trains nothing"),
    "reconstruction in [0, 1]": (summed(from_zero_to_one), no_change, r"in the target's range, \[-1, 1\], got one in"),
    "reconstruction in 8 bits": (
        summed(lambda made: (made + 1) * 127.5),
        no_change,
        r"in the target's range, \[-1, 1\], got one in \[0, 255\]",
    ),
    "sigmoid": (summed(torch.sigmoid), no_change, r"in the target's range, \[-1, 1\], got one in \[0, 1\]"),
    "optimizer of others": (summed(Tensor.clone), other_parameters, "parameters that an optimizer trains, got none"),
    "model replaced": (summed(Tensor.clone), replaced_model, "got none that changed in 4 steps"),
}


class Plain(nn.Module):
    def forward(self, inputs: Tensor, reconstructions: Tensor) -> Tensor:
        return (inputs - reconstructions).abs().mean()
