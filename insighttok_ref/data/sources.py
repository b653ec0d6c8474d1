"""The quickstart's sources: words on pictures, faces, plain pictures, the user's own folder."""

from __future__ import annotations

import random
from collections.abc import Sequence

from PIL import Image

from regionloss.data.annotate import Annotated
from regionloss.data.batches import Sample, stream
from regionloss.data.images import (
    Augment,
    FlipPairs,
    central_window,
    cropped,
    jittered,
    mirrored,
    padded,
    random_window,
    window_around,
)
from regionloss.data.words import TextRenderer
from regionloss.errors import InputError, expected


def shrunk(picture: Annotated, shortest: int) -> Annotated:
    """Return a picture whose shorter side is at most `shortest` pixels: what crops are cut from, quickly."""
    width, height = picture.image.size
    if min(width, height) <= shortest:
        return picture
    ratio = shortest / min(width, height)
    size = max(1, round(height * ratio)), max(1, round(width * ratio))
    image, regions = cropped(picture.image, picture.regions, (0, 0, height, width), size)
    return Annotated(picture.name, image, regions)


class TextSource:
    """Words rendered over crops of pictures and over plain grounds.

    Args:
        renderer: Draws the words.
        grounds: Pictures without text of their own.
        size: Side of the square images, pixels.
        seed: Each sample is a function of it and the sample's number.
        plain: Share of plain grounds (a gradient of two colours).
        name: Name of the source.
    """

    def __init__(
        self,
        renderer: TextRenderer,
        grounds: Sequence[Image.Image],
        size: int,
        seed: int,
        plain: float = 0.25,
        name: str = "text",
    ) -> None:
        self.name = name
        self.renderer, self.size, self.seed, self.plain = renderer, size, seed, plain
        self.grounds = [shrunk(Annotated("", ground, {}), 4 * size).image for ground in grounds]

    def changed(self, name: str, size: int, seed: int) -> TextSource:
        """Return the same source under another name, with images of another side and another seed."""
        return TextSource(self.renderer, self.grounds, size, seed, self.plain, name)

    def sample(self, index: int) -> Sample:
        """Return an image with its words as `"text"` regions, transcribed."""
        rng = stream(self.seed, self.name, index)
        image, regions = self.renderer(self.ground(rng), rng)
        return Sample.of(image, {"text": regions}, f"{self.name}/{index}")

    def ground(self, rng: random.Random) -> Image.Image:
        """Return a square picture to write on."""
        if rng.random() < self.plain:
            return gradient(self.size, rng)
        photo = rng.choice(self.grounds)
        window = random_window((photo.height, photo.width), rng, (0.05, 0.8))
        return jittered(cropped(photo, {}, window, (self.size, self.size))[0], rng)


class PictureSource:
    """Random crops of pictures, around a region or anywhere, with the regions that they show.

    Args:
        name: Name of the source.
        pictures: Pictures with their regions.
        size: Side of the square images, pixels.
        seed: Each sample is a function of it and the sample's number.
        augment: How pictures are cut, mirrored and coloured.
        flip_pairs: Keypoints that swap in a mirror image, by kind; None never mirrors.

    Raises:
        InputError: No pictures.
    """

    def __init__(
        self,
        name: str,
        pictures: Sequence[Annotated],
        size: int,
        seed: int,
        *,
        augment: Augment,
        flip_pairs: FlipPairs | None = None,
    ) -> None:
        if not pictures:
            raise InputError(expected(f"source '{name}'", "at least one picture", "none"))
        self.name, self.size, self.seed = name, size, seed
        self.pictures = list(pictures)
        self.augment, self.flip_pairs = augment, flip_pairs

    def sample(self, index: int) -> Sample:
        """Return a crop with the regions that it shows."""
        rng = stream(self.seed, self.name, index)
        picture = rng.choice(self.pictures)
        if self.augment.crop == "pad":
            picture = Annotated(picture.name, *padded(picture.image, picture.regions))
        image, regions = cropped(picture.image, picture.regions, self.window(picture, rng), (self.size, self.size))
        if self.flip_pairs is not None and rng.random() < self.augment.flip and not len(regions.get("text", ())):
            image, regions = mirrored(image, regions, self.flip_pairs)
        return Sample.of(jittered(image, rng, self.augment.jitter), regions, f"{self.name}/{picture.name}")

    def window(self, picture: Annotated, rng: random.Random) -> tuple[int, int, int, int]:
        """Return where the next crop is cut."""
        size, augment = (picture.image.height, picture.image.width), self.augment
        if augment.crop != "random":
            return central_window(size)
        boxes = [box for regions in picture.regions.values() for box in regions.boxes.tolist()]
        if boxes and rng.random() < augment.around:
            return window_around(rng.choice(boxes), size, rng, augment.scale)
        return random_window(size, rng, augment.area, augment.stretch)


class CropSource(PictureSource):
    """Square crops of pictures, at their own size or smaller, in their own colours: nothing is enlarged.

    Half of them show a region, where a picture has one; arguments as for `PictureSource`, pictures of at least `size`
    pixels a side.
    """

    #: Largest side of a crop, as a multiple of the images' side.
    most = 2.0

    def __init__(
        self, name: str, pictures: Sequence[Annotated], size: int, seed: int, *, flip_pairs: FlipPairs | None = None
    ) -> None:
        super().__init__(name, pictures, size, seed, augment=Augment(around=0.5), flip_pairs=flip_pairs)

    def window(self, picture: Annotated, rng: random.Random) -> tuple[int, int, int, int]:
        """Return where the next crop is cut."""
        size = (picture.image.height, picture.image.width)
        side = rng.uniform(self.size, min(*size, self.most * self.size))
        boxes = [box for regions in picture.regions.values() for box in regions.boxes.tolist()]
        if boxes and rng.random() < self.augment.around:
            box = rng.choice(boxes)
            longer = max(box[2] - box[0], box[3] - box[1], 1.0)
            scale = max(side / longer, 1.1)  # the whole of it, however large
            return window_around(box, size, rng, (scale, scale))
        return random_window(size, rng, ((side / min(size)) ** 2,) * 2, stretch=1.0)


def gradient(size: int, rng: random.Random) -> Image.Image:
    """Return a plain ground: one colour running into another."""
    first, second = (tuple(rng.randrange(256) for _ in range(3)) for _ in range(2))
    mask = Image.linear_gradient("L").rotate(rng.uniform(0, 360), Image.Resampling.BILINEAR)
    inner = mask.crop((38, 38, 218, 218)).resize((size, size), Image.Resampling.BILINEAR)
    return Image.composite(Image.new("RGB", (size, size), first), Image.new("RGB", (size, size), second), inner)
