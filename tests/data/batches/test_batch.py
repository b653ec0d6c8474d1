"""Mixtures: any step, asked for at any time, in any process, is the same batch."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from regionloss.data.batches.batch import Batch, Mixture, Sample
from regionloss.data.batches.random_streams import permutation, stream
from regionloss.data.words.render import text_regions
from regionloss.errors import InputError
from regionloss.regions.collation import RegionFilter


class Numbered:
    """Images whose pixels say source and index, with `index % 3` boxes in them."""

    def __init__(self, name: str, shade: int) -> None:
        self.name, self.shade, self.asked = name, shade, Counter()

    def sample(self, index: int) -> Sample:
        self.asked[index] += 1
        pixels = np.full((16, 16, 3), self.shade, np.uint8)
        pixels[0, 0] = index % 256
        boxes = [(2, 1 + 6 * k, 12, 6 + 6 * k) for k in range(index % 3)]
        regions = text_regions(boxes, ["w"] * len(boxes), (16, 16))
        return Sample.of(Image.fromarray(pixels), {"text": regions}, self.name)


def mixture(seed: int = 0, size: int = 40, **options: object) -> Mixture:
    return Mixture({Numbered("a", 50): 3.0, Numbered("b", 200): 1.0}, size, seed, **options)


def same(first: Batch, second: Batch) -> bool:
    return torch.equal(first.images, second.images) and torch.equal(
        first.regions["text"].boxes, second.regions["text"].boxes
    )


def test_streams_are_the_same_on_every_machine():
    """Recorded once; Python's string seeding (SHA-512) and Mersenne Twister do not change."""
    assert stream(0, "text", 17).random() == pytest.approx(0.4371835202273575, abs=0)
    assert permutation(3, "epoch", 0, length=6) == [5, 1, 3, 0, 2, 4]


def test_streams_do_not_depend_on_the_process():
    code = "from regionloss.data.batches.random_streams import stream; print(stream(5, 'x', 1).random())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert float(printed) == stream(5, "x", 1).random()


def test_a_batch_is_a_pure_function_of_seed_and_step():
    unbroken = mixture()
    for step in range(30):
        unbroken.batch(step, 7)
    resumed = mixture()
    for step in (23, 2, 29, 11):
        assert same(resumed.batch(step, 7), unbroken.batch(step, 7))
    assert not same(mixture(seed=1).batch(0, 7), unbroken.batch(0, 7))


def test_random_drops_resume_exactly_too():
    rules = {"text": RegionFilter(min_side=1.0, drop=0.5)}
    first, second = mixture(filters=rules), mixture(filters=rules)
    counts = [len(first.batch(step, 8).regions["text"]) for step in range(20)]
    assert [len(second.batch(step, 8).regions["text"]) for step in reversed(range(20))] == counts[::-1]
    assert len(set(counts)) > 1


def test_an_epoch_holds_each_sample_once_and_epochs_differ():
    data = mixture(size=40)
    epochs = [[float(v) for s in range(4) for v in data.batch(4 * e + s, 10).images[:, 0, 0, 0]] for e in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [sorted(epochs[0])] * 3
    assert len(set(epochs[0])) == 40
    assert epochs[0] != epochs[1]
    assert max(count for source in data.sources for count in source.asked.values()) == 1


def test_sources_come_in_their_shares():
    data = mixture(size=2000)
    drawn = Counter(data.sample(i).source for i in range(2000))
    assert drawn["a"] / 2000 == pytest.approx(0.75, abs=0.03)


def test_a_batch_carries_every_region_to_its_image():
    batch = mixture().batch(0, 12)
    assert batch.images.shape == (12, 3, 16, 16)
    assert batch.images.min() >= -1.0
    numbers = ((batch.images[:, 0, 0, 0] + 1) * 127.5).round().int()
    found = Counter(batch.regions["text"].image_index.tolist())
    assert [found[i] for i in range(12)] == [int(n) % 3 for n in numbers]
    assert batch.regions["text"].num_images == 12
    assert len(batch.sources) == 12


def test_regions_too_small_are_dropped_and_counted():
    batch = mixture(filters={"text": RegionFilter(min_side=6.0)}).batch(0, 12)
    assert len(batch.regions["text"]) == 0
    assert batch.dropped["text/small"] > 0


def test_a_kind_that_a_source_did_not_look_for_is_not_annotated():
    words = Sample.of(Image.new("RGB", (8, 8)), {"text": text_regions([(1, 1, 7, 7)], ["w"], (8, 8))})
    bare = Sample.of(Image.new("RGB", (8, 8)), {})
    annotated = Batch.of([words, bare]).regions["text"].annotated
    assert annotated is not None
    assert annotated.tolist() == [True, False]


def test_images_of_two_sizes_are_refused():
    samples = [Sample.of(Image.new("RGB", (s, s)), {"text": text_regions([], [], (s, s))}) for s in (8, 9)]
    with pytest.raises(InputError, match="images of one size"):
        Batch.of(samples)


def test_images_travel_as_bytes_and_are_scaled_where_they_are_used():
    batch = mixture().batch(0, 12)
    assert len(batch) == 12
    assert batch.pixels.dtype == torch.uint8
    assert torch.equal(batch.images, batch.pixels.float().div(127.5).sub(1.0))
    assert batch.images is batch.images
    moved = mixture().batch(0, 12).to("meta")
    assert moved.images.device.type == moved.regions["text"].device.type == "meta"
    assert moved.images.dtype == torch.float32
    assert moved.sources == batch.sources
