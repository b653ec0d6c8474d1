"""Image files of any kind -> 8-bit RGB, upright; and from there to tensors in [-1, 1]."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..errors import InputError, RegionLossError, expected

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".avif"}
)
ORIENTATION = 0x0112
QUARTER_TURNS = (5, 6, 7, 8)
#: Orientations that bring the right, and the lower, end of the upright image from where the file's pixels begin.
ENDS_LEFT, ENDS_ABOVE = (2, 3, 6, 7), (3, 4, 7, 8)


class ImageError(InputError):
    """An image file cannot be read; names it."""


def list_images(folder: Path) -> list[Path]:
    """Return the image files below a folder, hidden ones left out, in a fixed order.

    Raises:
        InputError: Not a folder, or no image file in it.
    """
    if not folder.is_dir():
        raise InputError(expected("images", "a folder of images", f"'{folder}', which is none"))
    found = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    paths = sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))
    if not paths:
        raise InputError(expected(f"images ('{folder}')", f"files such as {', '.join(sorted(SUFFIXES))}", "none"))
    return paths


def read_image(path: str | Path) -> Image.Image:
    """Return an image file as 8-bit RGB, upright (EXIF), its first frame if it moves, on white where transparent.

    Raises:
        ImageError: No such file, not an image, truncated, or too large to decode safely; names the file.
    """
    if not Path(path).is_file():
        raise ImageError(f"{path}: there is no such file.")
    with readable(str(path)), Image.open(path) as opened:
        return upright(opened).copy()


def open_image(contents: bytes, name: str) -> Image.Image:
    """Return an image file's contents opened: its size and kind are known, its pixels are not decoded yet.

    Raises:
        ImageError: Not an image; names it.
    """
    with readable(name):
        return Image.open(io.BytesIO(contents))


@dataclass(frozen=True, eq=False)
class Decoded:
    """An image as it was decoded: whole, or at a lower resolution where that saved work.

    Args:
        image: 8-bit RGB, upright.
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


def decoded(opened: Image.Image, name: str, shrink: float = 1.0) -> Decoded:
    """Return an opened image as `read_image` does, at a lower resolution where that saves decoding (JPEG).

    Args:
        opened: From `open_image`.
        name: For the sentence.
        shrink: How many times smaller the image may be, 1 or more; it is never smaller than that.

    Raises:
        ImageError: Truncated, or too large to decode safely; names the image.
    """
    with readable(name):
        turn, (width, height) = opened.getexif().get(ORIENTATION, 1), opened.size
        reduction = 1
        if opened.format == "JPEG":
            reduction = next((n for n in (8, 4, 2) if n <= min(shrink, width, height)), 1)
            opened.draft(None, (width // reduction, height // reduction))
        fill_x, fill_y = opened.width - width / reduction, opened.height - height / reduction
        if turn in QUARTER_TURNS:
            fill_x, fill_y = fill_y, fill_x
        offset = (fill_x if turn in ENDS_LEFT else 0.0, fill_y if turn in ENDS_ABOVE else 0.0)
        return Decoded(upright(opened), reduction, offset)


def upright_size(opened: Image.Image, name: str) -> tuple[int, int]:
    """Return the `(width, height)` that an opened image has when it is upright (EXIF)."""
    with readable(name):
        # Of a TIFF file PIL tells the upright size from the beginning.
        turned = opened.format != "TIFF" and opened.getexif().get(ORIENTATION, 1) in QUARTER_TURNS
    return (opened.height, opened.width) if turned else opened.size


def upright(opened: Image.Image) -> Image.Image:
    """Return the first frame of an opened image as 8-bit RGB, upright."""
    opened.seek(0)
    opened.load()
    ImageOps.exif_transpose(opened, in_place=True)
    return to_rgb(opened)


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


def to_rgb(image: Image.Image) -> Image.Image:
    """Return any PIL image as RGB, 8 bit: 16-bit and float grey is scaled, transparency laid on white."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        return grey_to_rgb(np.asarray(image, dtype=np.float64), 65535.0)
    if image.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        # The mode does not say what white is: 1 for floats, 255 or 65535 for integers.
        scales = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        return grey_to_rgb(values, next((s for s in scales if values.max() <= s), float(values.max())))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def grey_to_rgb(values: np.ndarray, white: float) -> Image.Image:
    """Return grey values (H, W) from 0 to `white` as RGB."""
    grey = (values / white * 255.0).clip(0, 255).round().astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def to_tensor(images: Sequence[Image.Image]) -> Tensor:
    """Return RGB images of one size as (B, 3, H, W) float32 in [-1, 1].

    Raises:
        InputError: No images, or others than RGB of one size.
    """
    if isinstance(images, Image.Image) or not len(images):
        got = "one image" if isinstance(images, Image.Image) else "none"
        raise InputError(expected("to_tensor", "a list of images", got, "Write to_tensor([image])."))
    arrays = [np.asarray(image) for image in images]
    for number, array in enumerate(arrays):
        if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
            wanted, got = "an RGB image, (H, W, 3) of bytes", f"{array.shape} of {array.dtype}"
            raise InputError(expected(f"to_tensor: images[{number}]", wanted, got, "Write image.convert('RGB')."))
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
