"""Image files of any kind -> 8-bit RGB, upright; and from there to tensors in [-1, 1]."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile
from torch import Tensor

from regionloss.data.images.depth import brighten, lower_bytes, whiten
from regionloss.data.images.grey import grey_to_rgb, is_negative, white_of
from regionloss.errors import InputError, RegionLossError, expected

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".avif"}
)
ORIENTATION = 0x0112
QUARTER_TURNS = (5, 6, 7, 8)
#: Orientations that bring the right, and the lower, end of the upright image from where the file's pixels begin.
ENDS_LEFT, ENDS_ABOVE = (2, 3, 6, 7), (3, 4, 7, 8)
#: Pixels of an image that is decoded without being asked for: twice what PIL warns of.
MOST_PIXELS = 178_956_970
ALLOW_MORE = "Allow more with max_pixels."
#: Pixels from which on an image is converted, and where it may be is made smaller, a band of rows after another.
LARGE, BAND = 1 << 24, 1 << 20
#: Where an opened image keeps the lower bytes of its colours.
LOWER = "regionloss.lower"
PNG, PNG_TEXTS = b"\x89PNG\r\n\x1a\n", (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
#: Texts of a PNG file that may say how it is turned.
PNG_TURNS = (b"XML:com.adobe.xmp\0", b"Raw profile type ")


class ImageError(InputError):
    """An image file cannot be read; the sentence names the file."""


def read_image(path: str | Path, max_pixels: int = MOST_PIXELS) -> Image.Image:
    """Return an image file as 8-bit RGB, upright (EXIF), its first frame if it moves, on white where transparent.

    Args:
        path: Path of the file.
        max_pixels: Most pixels that it may have; decoding takes 4 to 8 bytes for each.

    Raises:
        ImageError: No such file, not an image, truncated, or larger than `max_pixels`; names the file.
    """
    if not isinstance(path, str | os.PathLike):
        raise ImageError(expected("path", "the path of an image file", type(path).__name__))
    if not os.path.isfile(path):
        raise ImageError(f"{path}: there is no such file.")
    with readable(str(path)):
        contents = Path(path).read_bytes()
    return decoded(open_image(contents, str(path)), str(path), max_pixels=max_pixels).image


def open_image(contents: bytes, name: str) -> Image.Image:
    """Return an image file's contents opened: its size and kind are known, its pixels are not decoded yet.

    Raises:
        ImageError: Not an image; names it.
    """
    with readable(name):
        opened = opened_file(without_texts(contents))
        # Now: PIL decodes some files to tell how they are turned.
        opened.info[LOWER] = lower_bytes(opened)
        return opened


def opened_file(contents: bytes) -> Image.Image:
    """Open an image file of any size. PIL's own `open` asks a variable of the whole process how large one may be."""
    for prepare in (Image.preinit, Image.init):
        prepare()
        for name in Image.ID:
            factory, accepts = Image.OPEN[name]
            try:
                if accepts is None or accepts(contents[:16]) is True:
                    return factory(io.BytesIO(contents), "")
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue
    return Image.open(io.BytesIO(contents))  # It says what is wrong.


def without_texts(contents: bytes) -> bytes:
    """Return a PNG file without texts and profile, which nobody here reads: PIL refuses the file for a long one."""
    if not contents.startswith(PNG):
        return contents
    kept, begin, at = [], 0, len(PNG)
    while at + 12 <= len(contents):
        end = at + 12 + int.from_bytes(contents[at : at + 4], "big")
        if contents[at + 4 : at + 8] in PNG_TEXTS and not contents.startswith(PNG_TURNS, at + 8):
            kept.append(contents[begin:at])
            begin = end
        at = end
    return b"".join((*kept, contents[begin:])) if kept else contents


@dataclass(frozen=True, eq=False)
class Decoded:
    """An image as it was decoded: whole, or at a lower resolution where that saved work.

    Args:
        image: Image in 8-bit RGB, upright.
        reduction: How many pixels of the file, a side, became one: 1, 2, 4 or 8.
        offset: `(x, y)` where the picture begins in `image`, pixels: a reduced image is filled up to whole pixels, and
            turning it upright may bring the filling to the front.
    """

    image: Image.Image
    reduction: int = 1
    offset: tuple[float, float] = (0.0, 0.0)

    def box(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Return where `x1, y1, x2, y2` of the whole upright picture lie in `image`."""
        (x, y), (width, height) = self.offset, self.image.size
        x1, y1, x2, y2 = (value / self.reduction for value in box)
        return x1 + x, y1 + y, min(x2 + x, width), min(y2 + y, height)


def decoded(opened: Image.Image, name: str, shrink: float = 1.0, max_pixels: int = MOST_PIXELS) -> Decoded:
    """Return an opened image as `read_image` does, at a lower resolution where that saves decoding (JPEG) or memory.

    Args:
        opened: An image that `open_image` returned.
        name: Name of the image, for the sentence.
        shrink: How many times smaller the image may be, 1 or more; it is never smaller than that.
        max_pixels: Most pixels that the file may have.

    Raises:
        ImageError: Truncated, or larger than `max_pixels`; names the image.
    """
    with readable(name):
        turn, (width, height) = opened.getexif().get(ORIENTATION, 1), opened.size
        if width * height > max_pixels:
            got = f"{height} x {width} = {width * height:,}"
            raise ImageError(expected(name, f"at most {max_pixels:,} pixels", got, ALLOW_MORE))
        reduction = next((n for n in (8, 4, 2) if n <= min(shrink, width, height)), 1)
        if opened.format != "JPEG":
            reduction = reduction if width * height >= LARGE else 1
            return Decoded(upright(opened, reduction), reduction)
        opened.draft(None, (width // reduction, height // reduction))
        fill_x, fill_y = opened.width - width / reduction, opened.height - height / reduction
        if turn in QUARTER_TURNS:
            fill_x, fill_y = fill_y, fill_x
        offset = (fill_x if turn in ENDS_LEFT else 0.0, fill_y if turn in ENDS_ABOVE else 0.0)
        return Decoded(upright(opened), reduction, offset)


def upright_size(opened: Image.Image, name: str) -> tuple[int, int]:
    """Return the `(width, height)` that an opened image has when it is upright (EXIF)."""
    with readable(name):
        turned = opened.getexif().get(ORIENTATION, 1) in QUARTER_TURNS
        width, height = opened.size
        if isinstance(opened, TiffImageFile):  # its size is the upright one already, from Pillow 11 on
            width, height = (opened.tag_v2[tag] for tag in (IMAGEWIDTH, IMAGELENGTH))
    return (height, width) if turned else (width, height)


def upright(opened: Image.Image, reduction: int = 1) -> Image.Image:
    """Return the first frame of an opened image as 8-bit RGB, upright, so many times smaller."""
    opened.seek(0)
    lower = opened.info.pop(LOWER, None)
    opened.load()
    if lower is not None:
        (whiten if opened.format == "PNG" else brighten)(opened, lower)
    ImageOps.exif_transpose(opened, in_place=True)
    return to_rgb(opened, reduction)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what PIL raises for files that are no images into a sentence."""
    try:
        yield
    except (RegionLossError, MemoryError):
        raise
    except Exception as error:  # Decoders of damaged files raise what they like.
        reason = str(error).replace(" <_io.BytesIO object", "").split(" at 0x")[0]
        raise ImageError(f"{name}: cannot be read as an image ({reason}). Replace or remove the file.") from error


def to_rgb(image: Image.Image, reduction: int = 1) -> Image.Image:
    """Return any PIL image as RGB, 8 bit: 16-bit and float grey is scaled, transparency laid on white.

    Args:
        image: An image of any mode.
        reduction: How many pixels a side become one, which is their mean.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image if reduction == 1 else image.reduce(reduction)
    width, height = image.size
    convert = laid_on_white
    if image.mode.startswith(("I", "F")):
        convert = partial(grey_to_rgb, white=white_of(image), negative=is_negative(image))
    plain = convert is laid_on_white and not transparent(image)
    if width * height < LARGE or (plain and reduction == 1):
        return convert(image)
    # In bands, as RGB takes four times the memory of grey and of palettes, and numbers of 64 bits take eight times.
    result = Image.new("RGB", (-(-width // reduction), -(-height // reduction)))
    rows = max(1, BAND // (width * reduction)) * reduction
    for top in range(0, height, rows):
        band = convert(image.crop((0, top, width, min(top + rows, height))))
        result.paste(band if reduction == 1 else band.reduce(reduction), (0, top // reduction))
    return result


def transparent(image: Image.Image) -> bool:
    """Whether an image of 8 bits may be transparent somewhere."""
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def laid_on_white(image: Image.Image) -> Image.Image:
    """Return an image of 8 bits as RGB, with white where it is transparent."""
    if transparent(image):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def advice_for(image: object, array: np.ndarray) -> str:
    """Return how what is no RGB image of bytes becomes one."""
    if isinstance(image, str | os.PathLike):
        return "Write read_image(path)."
    if isinstance(image, Image.Image):
        return "Write image.convert('RGB')."
    if array.ndim == 2 and array.dtype == np.uint8:
        return "Write Image.fromarray(image).convert('RGB')."
    if isinstance(image, Tensor):
        return "A tensor in [-1, 1] needs no more than torch.stack."
    return "Bytes from 0 to 255 are images here, channels last."


def to_tensor(images: Sequence[Image.Image]) -> Tensor:
    """Return RGB images of one size as (B, 3, H, W) float32 in [-1, 1].

    Raises:
        InputError: No images, or others than RGB of one size.
    """
    listed = isinstance(images, Iterable) and not isinstance(images, str | bytes)
    if not listed or not (given := list(images)):
        single = isinstance(images, Image.Image)
        got = "none" if listed else "one image" if single else type(images).__name__
        raise InputError(expected("to_tensor", "a list of images", got, "Write to_tensor([image])."))
    arrays = [image if isinstance(image, np.ndarray) else np.asarray(image) for image in given]
    for number, array in enumerate(arrays):
        if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
            wanted, got = "an RGB image, (H, W, 3) of bytes", f"{array.shape} of {array.dtype}"
            raise InputError(expected(f"to_tensor: images[{number}]", wanted, got, advice_for(given[number], array)))
        if array.shape != arrays[0].shape:
            sizes = [f"{height} x {width}" for height, width, _ in (arrays[0].shape, array.shape)]
            advice = "Resize or crop them, or stack those of one size."
            got = f"{sizes[0]} and, in images[{number}], {sizes[1]}"
            raise InputError(expected("to_tensor", "images of one size (height x width)", got, advice))
    return scaled(torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2))


def scaled(pixels: Tensor) -> Tensor:
    """Return uint8 pixels as float32 in [-1, 1]."""
    return pixels.float().div_(127.5).sub_(1.0).contiguous()


def to_image(image: Tensor) -> Image.Image:
    """Return an image (3, H, W) in [-1, 1] as PIL; values outside are clipped, as every viewer would."""
    pixels = image.detach().float().clamp(-1, 1).add(1).mul(127.5).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())
