"""Reading odd image files: expected pixels are written by hand, or by another decoder's rules."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from regionloss.data.images import files as images
from regionloss.data.images.files import (
    decoded,
    open_image,
    read_image,
    scaled,
    to_image,
    to_tensor,
    upright_size,
)
from regionloss.data.shards.paths import list_images
from regionloss.errors import InputError


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def corner(image: Image.Image) -> tuple[int, ...]:
    return tuple(np.asarray(image)[0, 0].tolist())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_every_exif_orientation_is_turned_upright(tmp_path: Path, orientation: int, suffix: str):
    """The marked corner of the upright picture must be marked again, wherever the camera stored it."""
    upright = np.zeros((12, 20, 3), np.uint8)
    upright[0, 0] = (255, 0, 0)
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    path = saved(stored, tmp_path / f"a.{suffix}", exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    assert np.array_equal(np.asarray(read_image(path)), upright)
    assert upright_size(open_image(path.read_bytes(), "it"), "it") == (20, 12)


def test_damage_of_any_kind_is_a_sentence(tmp_path: Path):
    """Bytes of small files turned over, one file after another: an image comes out, or InputError."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "words"
    for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "PPM"):
        whole = io.BytesIO()
        noise.save(whole, kind, **({"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF") else {}))
        for _ in range(60):
            damaged = bytearray(whole.getvalue())
            for place in rng.integers(0, min(len(damaged), 400), 4):
                damaged[place] = rng.integers(0, 256)
            with warnings.catch_warnings(), suppress(InputError):
                warnings.simplefilter("ignore")
                opened = open_image(bytes(damaged), "it")
                assert min(upright_size(opened, "it")) > 0
                assert decoded(opened, "it", 4.0).image.mode == "RGB"


def test_cmyk_becomes_rgb(tmp_path: Path):
    path = saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), tmp_path / "a.jpg", quality=100)
    red, green, blue = corner(read_image(path))
    assert red > 200
    assert green < 60
    assert blue < 60


@pytest.mark.parametrize(("mode", "colour", "wanted"), [("L", 77, 77), ("1", 1, 255), ("I;16", 257 * 99, 99)])
def test_grey_of_any_depth_becomes_rgb(tmp_path: Path, mode: str, colour: int, wanted: int):
    assert corner(read_image(saved(Image.new(mode, (4, 4), colour), tmp_path / "a.png"))) == (wanted,) * 3


@pytest.mark.parametrize(("white", "stored"), [(1.0, 0.5), (255.0, 128.0), (65535.0, 32768.0)])
def test_float_grey_is_scaled_by_what_white_must_be(tmp_path: Path, white: float, stored: float):
    values = np.array([[stored, white]], np.float32)
    path = saved(Image.fromarray(values), tmp_path / "a.tif")
    assert np.asarray(read_image(path))[0, :, 0].tolist() == [round(stored / white * 255), 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white(tmp_path: Path, mode: str):
    clear = Image.new(mode, (4, 4), (0,) * len(mode))
    assert corner(read_image(saved(clear, tmp_path / "a.png"))) == (255, 255, 255)


def test_half_transparent_is_half_white(tmp_path: Path):
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert corner(read_image(saved(half, tmp_path / "a.png"))) == (127, 127, 127)


def test_a_transparent_palette_colour_is_white(tmp_path: Path):
    image = Image.new("P", (4, 4), 3)
    image.putpalette([0, 0, 0] * 4)
    assert corner(read_image(saved(image, tmp_path / "a.gif", transparency=3))) == (255, 255, 255)


def test_a_moving_image_gives_its_first_frame(tmp_path: Path):
    frames = [Image.new("RGB", (5, 5), colour) for colour in ("red", "blue")]
    path = saved(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert corner(read_image(path)) == (255, 0, 0)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.png: cannot be read as an image"):
        read_image(path)


def test_a_truncated_file_is_named(tmp_path: Path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    path = saved(noise, tmp_path / "cut.jpg")
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match=r"cut\.jpg: cannot be read"):
        read_image(path)


def test_images_behind_links_to_folders_are_listed(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.png").touch()
    for name, target in {"more": "../elsewhere", "loop": "."}.items():
        (tmp_path / "photos" / name).symlink_to(target)
    assert list_images(tmp_path / "photos") == [tmp_path / "photos" / "more" / "a.png"]


def test_images_are_listed_in_order_without_hidden_ones(tmp_path: Path):
    for name in ("b.PNG", "sub/a.jpg", "a.jpeg", ".thumbs/c.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert found == ["a.jpeg", "b.PNG", "sub/a.jpg"]


def test_a_folder_without_images_and_no_folder_are_said(tmp_path: Path):
    with pytest.raises(InputError, match="files such as"):
        list_images(tmp_path)
    with pytest.raises(InputError, match="a folder of images"):
        list_images(tmp_path / "absent")


def test_tensors_and_images_are_each_other_s_inverse():
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    tensor = to_tensor([Image.fromarray(pixels)])
    assert tensor.min() == -1.0
    assert tensor.max() == 1.0
    assert np.array_equal(np.asarray(to_image(tensor[0])), pixels)
    assert torch.equal(scaled(torch.tensor([0, 255], dtype=torch.uint8)), torch.tensor([-1.0, 1.0]))


def test_a_png_with_a_long_profile_is_read(tmp_path: Path):
    path = saved(Image.new("RGB", (8, 6), (1, 2, 3)), tmp_path / "a.png", icc_profile=bytes(3 << 20))
    assert corner(read_image(path)) == (1, 2, 3)


def test_a_dark_png_of_16_bits_stays_dark(tmp_path: Path):
    values = np.array([[0, 4095]], np.uint16)
    assert np.asarray(read_image(saved(Image.fromarray(values), tmp_path / "a.png")))[0, :, 0].tolist() == [0, 16]


@pytest.mark.parametrize(("mode", "clear"), [("I;16", 300), ("L", 30), ("1", 0)])
def test_the_transparent_grey_of_a_png_is_white(tmp_path: Path, mode: str, clear: int):
    image = Image.new(mode, (2, 1), clear)
    image.putpixel((1, 0), 257 * 99 if mode == "I;16" else 0 if mode == "L" else 1)
    path = saved(image, tmp_path / "a.png")
    whole = path.read_bytes()
    at, body = whole.index(b"IDAT") - 4, b"tRNS" + clear.to_bytes(2, "big")
    chunk = (2).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    path.write_bytes(whole[:at] + chunk + whole[at:])
    assert np.asarray(read_image(path))[0, :, 0].tolist() == [255, {"I;16": 99, "L": 0, "1": 255}[mode]]


def test_the_transparent_colour_of_16_bits_is_white_and_its_neighbours_are_not(tmp_path: Path):
    """The file is written by hand, as Pillow writes none; colours that share their upper bytes differ."""
    clear = (0x1234, 0x5678, 0x9ABC)
    colours = np.array([clear, (0x1234, 0x5678, 0x9ABD), (0x1134, 0x5678, 0x9ABC), (0, 65535, 300)], ">u2")
    contents = b"\x89PNG\r\n\x1a\n"
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", 4, 1, 16, 2, 0, 0, 0)),
        (b"tRNS", struct.pack(">HHH", *clear)),
        (b"IDAT", zlib.compress(b"\0" + colours.tobytes())),
        (b"IEND", b""),
    ):
        contents += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    (tmp_path / "a.png").write_bytes(contents)
    found = np.asarray(read_image(tmp_path / "a.png"))[0].tolist()
    assert found == [[255, 255, 255], [0x12, 0x56, 0x9A], [0x11, 0x56, 0x9A], [0, 255, 1]]


def test_a_png_with_long_texts_is_read(tmp_path: Path):
    texts, turn = PngInfo(), Image.Exif()
    texts.add_text("squeezed", "x" * 2_000_000, zip=True)
    texts.add_itxt("more", "y" * 2_000_000, zip=True)
    texts.add_text("plain", "z" * 2_000_000)
    turn[0x0112] = 6
    path = saved(Image.new("RGB", (4, 2), (9, 8, 7)), tmp_path / "a.png", pnginfo=texts, exif=turn)
    with pytest.raises(ValueError, match="too large"):
        Image.open(path).load()
    found = read_image(path)
    assert (found.size, corner(found)) == ((2, 4), (9, 8, 7))


def test_more_pixels_are_decoded_where_they_are_allowed(tmp_path: Path):
    path = saved(Image.new("1", (20_000, 11_000)), tmp_path / "a.png")
    with pytest.raises(
        InputError, match=r"a\.png: expected at most 178,956,970 pixels, got 11000 x 20000 = 220,000,000"
    ):
        read_image(path)
    opened = open_image(path.read_bytes(), "a.png")
    assert upright_size(opened, "a.png") == (20_000, 11_000)
    assert decoded(opened, "a.png", 100.0, 220_000_000).image.size == (2500, 1375)
    with pytest.raises(InputError, match="expected at most 3 pixels"):
        read_image(saved(Image.new("L", (2, 2)), tmp_path / "b.png"), max_pixels=3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "I;16", "F", "CMYK", "RGB"])
def test_a_large_image_in_bands_is_the_one_at_once(monkeypatch: pytest.MonkeyPatch, mode: str):
    rng = np.random.default_rng(0)
    pixels = Image.fromarray(rng.integers(0, 256, (53, 41, 4), dtype=np.uint8))
    image = pixels.convert("RGB").convert(mode) if mode in ("P", "CMYK") else pixels.convert("L")
    if mode in ("LA", "RGBA", "RGB"):
        image = pixels.convert(mode)
    elif mode in ("I;16", "F", "1"):
        image = Image.fromarray(rng.integers(0, 60000, (53, 41)).astype(np.uint16)) if mode == "I;16" else image
        image = image if mode == "I;16" else image.convert(mode)
    whole = np.asarray(images.to_rgb(image))
    for reduction in (1, 2, 8):
        monkeypatch.setattr(images, "LARGE", 100)
        monkeypatch.setattr(images, "BAND", 700)
        banded = images.to_rgb(image, reduction)
        monkeypatch.undo()
        assert np.array_equal(np.asarray(banded), np.asarray(Image.fromarray(whole).reduce(reduction)))


def test_a_large_picture_of_few_colours_takes_the_memory_of_its_pixels(tmp_path: Path):
    """A byte for each pixel of the file, and what it becomes: not four or eight for each, as RGB and float64 take."""
    path = saved(Image.new("1", (6000, 6000)), tmp_path / "a.png")
    code = "import resource, sys; from regionloss.data.annotate.decode import picture_of\n"
    code += "from regionloss.data.images.files import read_image; read_image(sys.argv[2])\n"
    code += "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    code += "before, data = peak(), open(sys.argv[1], 'rb').read(); picture_of('a', data, 640); print(peak() - before)"
    small = saved(Image.new("1", (8, 8)), tmp_path / "b.png")
    words = [sys.executable, "-c", code, str(path), str(small)]
    grown = int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert grown * 1024 < 2.5 * 6000 * 6000
