"""Photographs that ship inside installed packages; none of them is part of this project."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from insighttok_ref.data.fonts import package_file
from regionloss.data.images import read_image

SKIMAGE = ("skimage", "data")
MATPLOTLIB = ("matplotlib", "mpl-data/sample_data")


@dataclass(frozen=True)
class Photo:
    """A photograph in a package, with its rights as the package's documentation states them."""

    name: str
    home: tuple[str, str]
    file: str
    use: str
    rights: str

    def open(self) -> Image.Image:
        """Return the photograph as 8-bit RGB.

        Raises:
            PluginError: The package is missing or lacks the file.
        """
        package, folder = self.home
        return read_image(package_file(package, f"{folder}/{self.file}"))


PHOTOS = (
    Photo("chelsea", SKIMAGE, "chelsea.png", "train", "CC0-1.0, Stefan van der Walt"),
    Photo("rocket", SKIMAGE, "rocket.jpg", "train", "public domain, SpaceX"),
    Photo("hubble deep field", SKIMAGE, "hubble_deep_field.jpg", "train", "public domain, NASA"),
    Photo("brick", SKIMAGE, "brick.png", "train", "CC0-1.0, CC0Textures"),
    Photo("grass", SKIMAGE, "grass.png", "train", "CC0-1.0, CC0Textures"),
    Photo("coins", SKIMAGE, "coins.png", "train", "no known copyright restrictions, Brooklyn Museum"),
    Photo("coffee", SKIMAGE, "coffee.png", "test", "CC0-1.0, Rachel Michetti"),
    Photo("camera", SKIMAGE, "camera.png", "test", "CC0-1.0, Lav Varshney"),
    Photo("gravel", SKIMAGE, "gravel.png", "test", "CC0-1.0, CC0Textures"),
    Photo("astronaut", SKIMAGE, "astronaut.png", "train face", "public domain, NASA (Eileen Collins)"),
    Photo("grace hopper", MATPLOTLIB, "grace_hopper.jpg", "test face", "public domain, US Navy (Grace Hopper)"),
)


def photos(use: str) -> list[Photo]:
    """Return the photographs of one use: `train`, `test` (grounds), `train face` or `test face`."""
    return [photo for photo in PHOTOS if photo.use == use]
