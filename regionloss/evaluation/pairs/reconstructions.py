"""Reconstructions: images that lie in a folder, whoever made them, or those that an autoencoder makes now."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor

from regionloss.autoencoders import Autoencoder, Output
from regionloss.data.images.files import MOST_PIXELS, to_image, to_tensor
from regionloss.data.images.fit import fit, restore
from regionloss.errors import InputError
from regionloss.evaluation.pairs.folder import ImageFolder
from regionloss.evaluation.pairs.pair import Original, Reconstruction


class ReconstructionFolder:
    """Images of a folder, found by the names of their originals.

    A reconstruction has its original's name and folder (`a/photo.jpg`), or that name with the suffix of another kind
    of image file (`a/photo.png`, `a/photo.jpg.png`).

    Args:
        folder: Folder of the images.
        name: What tables call it; None takes the folder's name.
        max_pixels: Most pixels of an image that is decoded.

    Raises:
        InputError: There are no images in it.
    """

    codebook_size: int | None = None

    def __init__(self, folder: Path, name: str | None = None, max_pixels: int = MOST_PIXELS) -> None:
        self.images, self.name = ImageFolder(str(folder), max_pixels), name or folder.resolve().name

    @property
    def identity(self) -> str:
        """What changes where the images do."""
        return self.images.identity

    def of(self, original: Original) -> Reconstruction:
        """Return the reconstruction of an original. Raises InputError where there is none of its size."""
        found = self.images.named(original.key)
        if not found:
            raise InputError(f"missing reconstructions: {original.key}")
        if len(found) > 1:
            raise InputError(f"several reconstructions of one image: {original.key} has {', '.join(sorted(found))}")
        try:
            image = self.images.read(found[0])
        except InputError as error:
            raise InputError(f"unreadable reconstructions: {error}") from error
        if image.shape != original.image.shape:
            sizes = " and ".join(f"{found.shape[2]} x {found.shape[1]}" for found in (original.image, image))
            raise InputError(f"reconstructions of another size: {original.key}, {sizes} pixels (width x height)")
        return Reconstruction(image)


class AutoencoderReconstructions:
    """What an autoencoder makes of originals.

    Args:
        autoencoder: What makes the images.
        name: What tables call it.
        size: Side of the square that images are fitted in and cut out of again, pixels, as TokBench's settings do;
            None gives each image at its own size, its right and lower edge repeated to what the autoencoder takes.
    """

    def __init__(self, autoencoder: Autoencoder, name: str, size: int | None = None) -> None:
        self.autoencoder, self.name, self.size = autoencoder, name, size
        self.codebook_size = autoencoder.codebook_size

    @property
    def identity(self) -> str:
        """What changes where weights or settings do."""
        return f"{self.autoencoder.weights_sha256} at {self.size}"

    @torch.no_grad()
    def of(self, original: Original) -> Reconstruction:
        """Return the reconstruction of an original, in 8 bits as a file would hold it."""
        if self.size is not None:
            fitted = fit(to_image(original.image), (self.size, self.size))
            output, seconds = self.timed(to_tensor([fitted.canvas]))
            image = to_tensor([restore(to_image(output.images[0]), fitted)])[0]
            return Reconstruction(image, output.ids, (self.size, self.size), seconds)
        height, width = original.image.shape[1:]
        multiple = self.autoencoder.multiple
        more = (-width % multiple, -height % multiple)
        padded = torch.nn.functional.pad(original.image[None], (0, more[0], 0, more[1]), mode="replicate")
        output, seconds = self.timed(padded)
        image = to_tensor([to_image(output.images[0, :, :height, :width])])[0]
        return Reconstruction(image, output.ids, (padded.shape[2], padded.shape[3]), seconds)

    def timed(self, images: Tensor) -> tuple[Output, float]:
        """Return images (1, 3, H, W) as they come back, on the CPU, and the seconds that it took."""
        began = time.perf_counter()
        output = self.autoencoder.reconstruct(images)
        return output, time.perf_counter() - began
