"""Contracts of what looks at images: detectors and judges."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from regionloss.detectors.base import Detector
from regionloss.judges import Embedding, Judge, Reading
from regionloss.regions.regions import Regions
from regionloss.testing.fakes import grid_regions, noise_images


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

    def test_no_images_have_no_regions(self) -> None:
        """A batch of no images gives regions of none."""
        detector, images = self.make(), self.images()
        regions = detector.detect(images[:0])
        assert len(regions) == 0
        assert regions.kind == detector.kind
        assert tuple(regions.image_size) == tuple(images.shape[2:])
        assert regions.num_images == 0

    def test_the_smallest_image(self) -> None:
        """An image of one pixel is an image: its regions lie in it, or it has none."""
        regions = self.make().detect(self.images()[:1, :, :1, :1])
        assert tuple(regions.image_size) == (1, 1)
        assert regions.num_images == 1
        assert bool(((regions.boxes >= 0) & (regions.boxes <= 1)).all())

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
