"""Logos from files: pictures with transparency, and drawings."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from regionloss.errors import InputError, PluginError, expected, reason_of

DRAWN_SIDE = 512
SUFFIXES = (".png", ".svg", ".webp")


@dataclass(frozen=True)
class Mark:
    """A logo.

    Args:
        name: Name of the logo, which is that of its file.
        pixels: (4, h, w), RGB and opacity in [0, 1], cut to what can be seen.
        sha256: Hash of the file.
    """

    name: str
    pixels: Tensor
    sha256: str


def read_marks(paths: Iterable[str | Path]) -> list[Mark]:
    """Read logos from files, and from all PNG, SVG and WebP files of folders.

    Raises:
        InputError: There are none, a file is missing, is no picture, or has no transparency.
        PluginError: An SVG came, and what draws it is not installed.
    """
    files: list[Path] = []
    for given in map(Path, paths):
        path = given.expanduser()
        inside = sorted(f for f in path.iterdir() if f.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise InputError(expected(f"template.logos ({path})", "PNG, WebP or SVG files in the folder", "none"))
        files += inside
    if not files:
        advice = "Name PNG files with transparency, SVG files, or folders of them."
        raise InputError(expected("template.logos", "at least one logo", "none", advice))
    names = [file.stem for file in files]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise InputError(expected("template.logos", "files of different names", f"'{twice}' twice", "Rename one."))
    return [read_mark(file) for file in files]


def read_mark(file: Path) -> Mark:
    """Read one logo; raises as `read_marks`."""
    where = f"logo {file}"
    try:
        content = file.read_bytes()
    except OSError as error:
        advice = f"Paths begin at the working directory, {Path.cwd()}."
        raise InputError(expected(where, "a file that can be read", reason_of(error), advice)) from error
    data = drawn(content, where) if file.suffix.lower() == ".svg" else content
    try:
        with Image.open(io.BytesIO(data)) as picture:
            transparent = "A" in picture.getbands() or "transparency" in picture.info
            mode, image = picture.mode, picture.convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise InputError(expected(where, "a PNG, WebP or SVG picture", "something else, or half a file")) from error
    if not transparent:
        advice = "Make its background transparent; a logo that fills its rectangle needs an opaque alpha channel."
        raise InputError(expected(where, "a picture with an alpha channel", f"mode {mode}", advice))
    image.thumbnail((DRAWN_SIDE, DRAWN_SIDE), Image.Resampling.BOX)
    box = image.getchannel("A").point(lambda value: 255 * (value > 25)).getbbox()
    if box is None or min(box[2] - box[0], box[3] - box[1]) < 4:
        raise InputError(expected(where, "a logo of at least 4 x 4 pixels", "next to nothing that is not transparent"))
    pixels = torch.from_numpy(np.array(image.crop(box))).permute(2, 0, 1).float() / 255
    return Mark(file.stem, pixels, hashlib.sha256(content).hexdigest())


def drawn(content: bytes, where: str) -> bytes:
    """Return an SVG as a PNG."""
    try:
        from resvg_py import svg_to_bytes
    except ImportError as error:
        advice = "Run pip install 'regionloss-logo[svg]', or save the logo as a PNG."
        raise PluginError(expected(where, "the package resvg-py, which draws SVGs", "none", advice)) from error
    try:
        return bytes(svg_to_bytes(svg_string=content.decode(), width=DRAWN_SIDE))
    except (ValueError, RuntimeError) as error:
        raise InputError(
            expected(where, "an SVG", f"something else ({str(error).strip()[:200].rstrip('.')})")
        ) from error
