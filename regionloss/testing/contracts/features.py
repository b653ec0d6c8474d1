"""Contracts of crops and features: extractors and backbones."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from regionloss.backbones.base import FeatureBackbone
from regionloss.errors import InputError
from regionloss.extractors.base import RegionExtractor
from regionloss.regions.regions import Regions
from regionloss.testing.fakes import grid_regions, noise_images


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

    def test_no_regions_have_no_crops(self) -> None:
        """Images without regions give no crops, of the size and precision that others have."""
        extractor, images = self.make(), noise_images().double()
        empty = Regions.empty(self.kind, (64, 96), len(images), keypoints=self.keypoints)
        crops = extractor(images, empty.to("cpu", dtype=torch.float64))
        assert tuple(crops.shape) == (0, 3, *(extractor.size or images.shape[2:]))
        assert crops.dtype == torch.float64

    def test_the_smallest_regions(self) -> None:
        """A box of a hundredth of a pixel, its keypoints in one place, gives finite crops and gradients."""
        images = noise_images().requires_grad_()
        corners = torch.tensor([[0.0, 0.0], [95.99, 63.99], [30.5, 20.25]])
        boxes = torch.cat([corners, corners + 0.01], 1)
        points = corners[:, None].expand(3, self.keypoints, 2) if self.keypoints else None
        regions = Regions(self.kind, boxes, torch.tensor([0, 0, 1]), (64, 96), len(images), keypoints=points)
        crops = self.make()(images, regions)
        assert bool(crops.isfinite().all())
        assert float(crops.detach().abs().max()) <= 1.001
        (gradient,) = torch.autograd.grad(crops.square().sum(), images)
        assert bool(gradient.isfinite().all())


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
        loss.backward()
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

    def test_the_size_that_it_states_is_the_one_that_it_takes(self) -> None:
        """Crops of another size than `input_spec.size` are refused with a sentence, not compared in silence."""
        backbone, crops = self.make(), self.crops()
        if backbone.input_spec.size is not None:
            try:
                backbone(crops[:, :, 1:])
            except InputError:
                return
            raise AssertionError(
                f"expected InputError for crops of {tuple(crops[:, :, 1:].shape[2:])} pixels, got none"
            )

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
