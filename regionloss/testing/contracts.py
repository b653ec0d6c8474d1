"""What every plugin's components must do, as test classes to inherit from.

    class TestMyBackbone(FeatureBackboneContract):
        def make(self):
            return MyBackbone(weights="random.pt")

pytest collects the subclass and runs the contract.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from ..backbones.base import FeatureBackbone
from ..detectors.base import Detector
from ..distances.base import Distance
from ..extractors.base import RegionExtractor
from ..judges import Embedding, Judge, Reading
from ..regions import Regions
from ..weightings.base import Weighting
from .fakes import grid_regions, noise_images


class DetectorContract:
    """A detector returns valid regions on the CPU, whatever the images hold."""

    def make(self) -> Detector:
        """Return the detector under test."""
        raise NotImplementedError

    def images(self) -> Tensor:
        """Return images (B, 3, H, W), B >= 2; better ones in which something is found."""
        return noise_images()

    def test_regions_of_the_kind_inside_the_images(self) -> None:
        """Boxes lie in the image, in order of its corners; every image index is in the batch."""
        detector, images = self.make(), self.images()
        regions = detector.detect(images)
        height, width = images.shape[2:]
        assert regions.kind == detector.kind
        assert tuple(regions.image_size) == (height, width)
        assert regions.num_images == len(images)
        assert bool((regions.boxes >= 0).all())
        assert bool((regions.boxes <= regions.boxes.new_tensor([width, height, width, height])).all())
        assert bool((regions.boxes[:, 2:] > regions.boxes[:, :2]).all())
        assert regions.scores is None or bool(((regions.scores >= 0) & (regions.scores <= 1)).all())

    def test_nothing_in_flat_images(self) -> None:
        """A grey image has no regions, and that is no error."""
        regions = self.make().detect(torch.zeros_like(self.images()))
        assert len(regions) == 0 or regions.kind == "whole_image"

    def test_order_of_the_batch_does_not_matter(self) -> None:
        """Images are looked at one by one: reversing the batch reverses the result."""
        detector, images = self.make(), self.images()
        forward, backward = detector.detect(images), detector.detect(images.flip(0))
        last = len(images) - 1
        for image in range(len(images)):
            ours, theirs = forward.of_image(image).boxes, backward.of_image(last - image).boxes
            assert torch.allclose(ours, theirs, atol=1e-2)

    def test_images_are_left_alone(self) -> None:
        """Detection changes neither its input nor the gradient mode."""
        images = self.images()
        before = images.clone()
        self.make().detect(images)
        assert torch.equal(images, before)
        assert torch.is_grad_enabled()


class RegionExtractorContract:
    """An extractor cuts one crop per region and hands gradients back to the images."""

    kind = "text"
    keypoints = 0

    def make(self) -> RegionExtractor:
        """Return the extractor under test."""
        raise NotImplementedError

    def regions(self) -> Regions:
        """Return regions of the images of `noise_images()`."""
        return grid_regions(self.kind, keypoints=self.keypoints)

    def test_one_crop_per_region(self) -> None:
        """Crops come in the order of the regions, of the declared size, in the images' range."""
        extractor, regions = self.make(), self.regions()
        images = noise_images()
        crops = extractor(images, regions)
        assert len(crops) == len(regions)
        assert extractor.size is None or tuple(crops.shape[2:]) == tuple(extractor.size)
        assert float(crops.min()) >= -1.001
        assert float(crops.max()) <= 1.001
        for n in range(len(regions)):
            alone = extractor(images, regions.select(torch.tensor([n])))
            torch.testing.assert_close(crops[n : n + 1], alone, atol=1e-5, rtol=0)

    def test_gradients_reach_the_images(self) -> None:
        """Images with regions get a gradient; precision is kept."""
        images = noise_images().double().requires_grad_()
        crops = self.make()(images, self.regions().to("cpu", dtype=torch.float64))
        assert crops.dtype == torch.float64
        (gradient,) = torch.autograd.grad(crops.square().sum(), images)
        assert bool((gradient.flatten(1).abs().sum(1) > 0).all())


class FeatureBackboneContract:
    """A backbone is frozen, hidden from optimizers and checkpoints, and differentiable in its crops."""

    def make(self) -> FeatureBackbone:
        """Return the backbone under test."""
        raise NotImplementedError

    def crops(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return crops that the backbone accepts."""
        size = self.make().input_spec.size or (64, 96)
        return noise_images(3, size).to(dtype)

    def test_gradients_reach_the_crops_and_no_weight(self) -> None:
        """Every crop gets a finite gradient that is not zero; no weight gets one."""
        backbone, crops = self.make(), self.crops().requires_grad_()
        loss = torch.stack([level.float().square().mean() for level in backbone(crops)]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        assert crops.grad is not None
        assert bool(crops.grad.isfinite().all())
        assert bool((crops.grad.flatten(1).abs().sum(1) > 0).all())
        assert all(not p.requires_grad and p.grad is None for p in backbone.network.parameters())

    def test_train_changes_nothing(self) -> None:
        """`.train()` of an owner neither wakes dropout nor moves running statistics."""
        backbone, crops = self.make(), self.crops()
        before = backbone(crops)
        owner = torch.nn.ModuleDict({"backbone": backbone})
        owner.train()
        backbone(crops)
        for ours, theirs in zip(backbone(crops), before, strict=True):
            assert torch.equal(ours, theirs)

    def test_absent_from_parameters_and_state_dict(self) -> None:
        """An optimizer, DDP or a checkpoint never sees the network."""
        owner = torch.nn.ModuleDict({"backbone": self.make()})
        assert list(owner.parameters()) == []
        assert list(owner.buffers()) == []
        assert owner.state_dict() == {}

    def test_crops_do_not_see_each_other(self) -> None:
        """A crop's features are the same alone and in a batch, in any order."""
        backbone, crops = self.make(), self.crops()
        together, turned = backbone(crops), backbone(crops.flip(0))
        alone = backbone(crops[:1])
        for a, b, c in zip(together, turned, alone, strict=True):
            scale = float(a.detach().abs().max())
            torch.testing.assert_close(a, b.flip(0), atol=1e-4 * scale, rtol=1e-3)
            torch.testing.assert_close(a[:1], c, atol=1e-4 * scale, rtol=1e-3)

    def test_pairs_equal_single_calls(self) -> None:
        """`backbone(a, b)` gives the levels of a and of b; those of b carry no gradient."""
        backbone, crops = self.make(), self.crops().requires_grad_()
        features, target_features = backbone(crops, crops.detach().flip(0))
        for ours, theirs, single in zip(features, target_features, backbone(crops), strict=True):
            torch.testing.assert_close(ours, single)
            torch.testing.assert_close(
                theirs.flip(0), single.detach(), atol=1e-3 * float(single.detach().abs().max()), rtol=1e-3
            )
            assert not theirs.requires_grad

    def test_float64(self) -> None:
        """Float64 crops give float64 features that agree with float32."""
        backbone = self.make()
        for double, single in zip(backbone(self.crops(torch.float64)), backbone(self.crops()), strict=True):
            assert double.dtype == torch.float64
            scale = float(single.detach().abs().max())
            torch.testing.assert_close(double.float(), single, atol=2e-4 * scale, rtol=1e-2)

    def test_survives_deepcopy(self) -> None:
        """A copy of the owner computes the same."""
        backbone, crops = self.make(), self.crops()
        for ours, theirs in zip(copy.deepcopy(backbone)(crops), backbone(crops), strict=True):
            assert torch.equal(ours, theirs)


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


class JudgeContract:
    """A judge says one thing per region and names its weights."""

    def make(self) -> Judge:
        """Return the judge under test."""
        raise NotImplementedError

    def examples(self) -> tuple[Tensor, Regions]:
        """Return images and regions of the judge's kind."""
        images = noise_images()
        return images, grid_regions(self.make().kind, keypoints=5)

    def test_one_judgement_per_region(self) -> None:
        """Readings for text, unit embeddings for identity."""
        judge: Any = self.make()
        images, regions = self.examples()
        found = judge.judge(images, regions)
        assert len(found) == len(regions)
        assert all(isinstance(one, Reading | Embedding) for one in found)
        for one in found:
            if isinstance(one, Embedding):
                assert abs(float(one.vector.norm()) - 1) < 1e-3
        assert judge.judge(images, Regions.empty(judge.kind, (64, 96), len(images), keypoints=5)) == []

    def test_names_its_weights(self) -> None:
        """Its hash can be compared with those of the loss networks."""
        assert len(self.make().weights_sha256) >= 64
