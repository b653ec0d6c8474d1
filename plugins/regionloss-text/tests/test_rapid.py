"""What RapidOCR is given: OpenCV's bytes, against OpenCV's own conversion and what the engine reads from a file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from regionloss_text.rapid import engine, to_bgr

RED = (200, 30, 10)


def coloured(height: int = 8, width: int = 12) -> np.ndarray:
    """An image of bytes whose channels differ: (H, W, 3), RGB."""
    return np.random.default_rng(0).integers([150, 60, 0], [256, 120, 50], (height, width, 3)).astype(np.uint8)


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


def test_bytes_are_those_of_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    pixels = coloured()
    found = to_bgr(to_tensor(pixels))
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)[None])


def test_the_engine_sees_what_it_sees_in_a_file(tmp_path) -> None:
    """RapidOCR's own reader turns a red picture into the bytes that detector and judge hand to it."""
    picture = np.full((40, 60, 3), RED, np.uint8)
    Image.fromarray(picture).save(tmp_path / "red.png")
    read = engine({}).load_img(tmp_path / "red.png")
    assert tuple(read[0, 0]) == RED[::-1]
    np.testing.assert_array_equal(to_bgr(to_tensor(picture))[0], read)
