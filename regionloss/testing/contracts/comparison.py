"""Contracts of what compares: distances, weightings, and terms as a whole."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from regionloss.backbones.heads import CharacterReader
from regionloss.distances.base import Distance
from regionloss.losses.comparison import is_labelled
from regionloss.losses.terms import Term
from regionloss.regions.regions import Regions
from regionloss.testing.fakes import grid_regions, noise_images
from regionloss.weightings.base import Weighting

#: Of what other images cost, what equal ones may: networks round otherwise where nothing is trained.
ROUNDING = 1e-6


class DistanceContract:
    """A distance gives one number per region, zero for equal features."""

    def make(self) -> Distance:
        """Return the distance under test."""
        raise NotImplementedError

    def features(self, seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
        """Return two levels of three regions."""
        generator = torch.Generator().manual_seed(seed)
        shapes = ((3, 8, 4, 6), (3, 16, 2, 3))
        return tuple(torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)

    def test_zero_for_equal_features_with_a_finite_gradient(self) -> None:
        """Also where features are zero, as after a ReLU."""
        for features in (self.features(0), tuple(torch.zeros_like(f) for f in self.features(0))):
            ours = tuple(f.clone().requires_grad_() for f in features)
            distances = self.make()(ours, features)
            assert distances.shape == (3,)
            assert bool((distances == 0).all())
            gradients = torch.autograd.grad(distances.sum(), ours)
            assert all(bool(g.isfinite().all()) for g in gradients)

    def test_positive_and_per_region(self) -> None:
        """Changing one region changes its number alone."""
        distance, a, b = self.make(), self.features(0), self.features(1)
        distances = distance(a, b)
        assert bool((distances > 0).all())
        changed = tuple(torch.cat([f[:1] + 1, f[1:]]) for f in a)
        assert torch.equal(distance(changed, b)[1:], distances[1:])

    def test_no_regions_have_no_distances(self) -> None:
        """Features of no regions give (0,) numbers."""
        features = tuple(f[:0] for f in self.features(0))
        assert self.make()(features, features).shape == (0,)

    def test_half_precision_is_promoted(self) -> None:
        """Float16 features give float32 distances."""
        a, b = (tuple(f.half() for f in self.features(seed)) for seed in (0, 1))
        assert self.make()(a, b).dtype == torch.float32

    def test_gradcheck(self) -> None:
        """The gradient is the derivative."""
        a, b = self.features(0), self.features(1)
        leaves = tuple(f.requires_grad_() for f in a)
        assert torch.autograd.gradcheck(lambda *f: self.make()(f, b), leaves)


class AreaWeightingContract:
    """A weighting gives one weight per region, none of them negative."""

    def make(self) -> Weighting:
        """Return the weighting under test."""
        raise NotImplementedError

    def test_one_weight_per_region(self) -> None:
        """Finite, not negative, in the boxes' precision, and none for no regions."""
        for regions in (grid_regions("text"), grid_regions("text").to("cpu", dtype=torch.float64)):
            weights = self.make()(regions)
            assert weights.shape == (len(regions),)
            assert weights.dtype == regions.boxes.dtype
            assert bool((weights.isfinite() & (weights >= 0)).all())
        assert self.make()(Regions.empty("text", (8, 8))).shape == (0,)


class TermContract:
    """A term is a loss: nothing for equal images, and a gradient that brings others nearer."""

    keypoints = 0

    def make(self) -> Term:
        """Return the term under test: `regionloss.LossTerms.from_names({"signs": 0.01})["signs"]`, say."""
        raise NotImplementedError

    def examples(self) -> tuple[Tensor, Tensor, Regions]:
        """Return images (B, 3, H, W), others of the same shape, and regions of the term's kind."""
        term = self.make()
        regions = grid_regions(term.kind, keypoints=self.keypoints)
        if is_labelled(term.loss.distance) and isinstance(term.loss.backbone, CharacterReader):
            regions = replace(regions, texts=(term.loss.backbone.alphabet[0],) * len(regions))
        return noise_images(seed=1), noise_images(), regions

    def test_equal_images_cost_nothing(self) -> None:
        """Equal images cost nothing, beyond rounding, and pull nowhere that is not finite.

        What is compared with a transcription may be misread in the target too.
        """
        other, target, regions = self.examples()
        loss, same = self.make().loss, target.clone().requires_grad_()
        value = loss(same, target, regions)
        got, apart = float(value.detach()), float(loss(other, target, regions))
        if not is_labelled(loss.distance):
            assert got <= ROUNDING * apart, (
                f"expected 0 for equal images, got {got:.3g}. Look at backbone and distance."
            )
        (gradient,) = torch.autograd.grad(value, same)
        assert bool(gradient.isfinite().all()), "expected a finite gradient for equal images. Look at roots of zero."

    def test_others_have_a_gradient(self) -> None:
        """Other images cost something, and get a finite gradient."""
        reconstruction, target, regions = self.examples()
        reconstruction.requires_grad_()
        value = self.make().loss(reconstruction, target, regions)
        assert float(value.detach()) > 0
        (gradient,) = torch.autograd.grad(value, reconstruction)
        advice = "expected a finite gradient in the image, got none. Look for .detach(), no_grad."
        assert 0 < float(gradient.abs().sum()) < math.inf, advice

    def test_no_regions_cost_nothing(self) -> None:
        """Without regions the loss is a zero that is attached to the graph."""
        reconstruction, target, regions = self.examples()
        empty = Regions.empty(regions.kind, regions.image_size, len(target), keypoints=self.keypoints)
        value = self.make().loss(reconstruction.requires_grad_(), target, empty)
        assert float(value.detach()) == 0
        assert value.requires_grad
