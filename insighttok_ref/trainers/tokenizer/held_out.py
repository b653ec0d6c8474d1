"""The images that a run keeps for the test, as evaluations take them, and what is asked of their pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from regionloss.data.batches import Batch
from regionloss.data.images import to_image, to_tensor
from regionloss.evaluation import psnr, region_mask
from regionloss.evaluation.benchmarks import Examined, Gathered, Measure, Verdict
from regionloss.evaluation.pairs import Instance, Original, Pair, Reconstruction, instances_of, regions_of

#: Column of the data that names the set of an image.
SET = "set"
#: Kind of the instances that are whole images: the report shows them, nothing else is asked of them.
WHOLE = "whole image"


class HeldOut:
    """Test images by set, each with its regions and, as an instance of its own, the whole of it.

    Args:
        test: Images with their regions, by set.
    """

    name = "images that were not trained on"

    def __init__(self, test: Mapping[str, Batch]) -> None:
        self.test = test

    @cached_property
    def identity(self) -> str:
        """What changes where the images or their regions do."""
        facts = hashlib.sha256()
        for name, batch in self.test.items():
            facts.update(name.encode("utf-8", "backslashreplace") + batch.pixels.numpy().tobytes())
            for kind, regions in batch.regions.items():
                facts.update(
                    f"{kind} {regions.image_index.tolist()} {regions.texts!r}".encode("utf-8", "backslashreplace")
                )
                facts.update(regions.boxes.numpy().tobytes())
        return facts.hexdigest()

    def names(self) -> Sequence[str]:
        """Return the names of all images: their set's and a number."""
        return [f"{name}/{number:05d}" for name, batch in self.test.items() for number in range(len(batch))]

    def read(self, key: str) -> Original:
        """Return one of them."""
        name, _, number = key.rpartition("/")
        batch, place, columns = self.test[name], int(number), {SET: name}
        height, width = batch.pixels.shape[2:]
        found = [Instance(WHOLE, (0.0, 0.0, float(width), float(height)), 1.0, columns=columns)]
        for regions in batch.regions.values():
            own = regions.of_image(place)
            found += instances_of(own, [columns] * len(own))
        owner = batch.sources[place] if batch.sources else ""
        return Original(key, batch.images[place], tuple(found), columns, owner=owner)


class Reconstructed:
    """What a tokenizer made of the test images, all at once.

    Args:
        name: Name of the tokenizer in tables.
        identity: What changes where the tokenizer does.
        images: Reconstructions (N, 3, H, W) by set.
        ids: Codes (N, n) by set; of latents there are none.
        codebook_size: Number of codes.
        facts: What tables show beside its name.
    """

    def __init__(
        self,
        name: str,
        identity: str,
        images: Mapping[str, Tensor],
        ids: Mapping[str, Tensor],
        codebook_size: int | None,
        facts: Mapping[str, object],
    ) -> None:
        self.name, self.identity, self.facts = name, identity, facts
        self.codebook_size = codebook_size
        self._images, self._ids = images, ids

    def of(self, original: Original) -> Reconstruction:
        """Return the reconstruction of an original, in 8 bits as a file would hold it."""
        name, _, number = original.key.rpartition("/")
        image = to_tensor([to_image(self._images[name][int(number)])])[0]
        ids = self._ids.get(name)
        return Reconstruction(image, None if ids is None else ids[int(number)], (image.shape[1], image.shape[2]))


class Pixels:
    """PSNR of the whole image, inside and outside the regions; names what no judge looks at, so that it is shown.

    Args:
        judged: Kinds of regions that have a judge.
    """

    name = "general"
    measures: Mapping[str, Measure] = {
        "psnr": Measure("PSNR", "dB", hint="Of whole images.", per="image"),
        "psnr_inside": Measure("PSNR inside regions", "dB", hint="Of the pixels in regions.", per="image"),
        "psnr_outside": Measure(
            "PSNR outside", "dB", hint="Of all other pixels: what the region terms must not cost.", per="image"
        ),
    }
    about: Mapping[str, object] = {"pixels": "8-bit values"}

    def __init__(self, judged: Sequence[str]) -> None:
        self.judged = set(judged)

    def examine(self, pair: Pair) -> Examined:
        """Return the PSNR of a pair, and an empty verdict on each instance that no judge looks at."""
        size = (pair.target.shape[2], pair.target.shape[3])
        inside = torch.zeros(1, 1, *size, dtype=torch.bool)
        for kind in {one.kind for one in pair.original.instances} - {WHOLE}:
            own = [pair.original.instances[number] for number in pair.numbers(kind)]
            inside |= region_mask(regions_of(own, kind, size))
        masks = {"psnr": inside | True, "psnr_inside": inside, "psnr_outside": ~inside}
        values = {name: float(psnr(pair.output, pair.target, mask)) for name, mask in masks.items() if mask.any()}
        shown = [
            Verdict(number, "", {"psnr": values["psnr"]} if one.kind == WHOLE else {})
            for number, one in enumerate(pair.original.instances)
            if one.kind not in self.judged
        ]
        return Examined(values, shown)

    def summary(self, gathered: Gathered) -> Mapping[str, float]:
        """Return no measures: there are none of the whole set."""
        return {}
