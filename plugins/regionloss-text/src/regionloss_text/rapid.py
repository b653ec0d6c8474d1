"""PP-OCRv6 through RapidOCR: its networks ship in that package, so nothing is fetched when it runs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from regionloss.errors import WeightsError

if TYPE_CHECKING:
    from rapidocr import RapidOCR

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
DETECTOR_FILE = "PP-OCRv6_det_small.onnx"
RECOGNISER_FILE = "PP-OCRv6_rec_small.onnx"


def engine(options: Mapping[str, object]) -> RapidOCR:
    """Return a silent RapidOCR on as many threads as torch uses.

    Args:
        options: Options of RapidOCR's `config.yaml`, with dotted names.
    """
    from rapidocr import RapidOCR

    params: dict[str, Any] = {
        "Global.log_level": "critical",
        "EngineConfig.onnxruntime.intra_op_num_threads": torch.get_num_threads(),
    }
    return RapidOCR(params={**params, **options})


def model_file(name: str) -> Path:
    """Return a network's file inside the installed package.

    Raises:
        WeightsError: The installed version does not ship it (it would fetch it unasked).
    """
    import rapidocr

    file = Path(rapidocr.__file__).parent / "models" / name
    if not file.is_file():
        advice = "Install rapidocr 3.10.0."
        raise WeightsError(f"{name}: not found in rapidocr {metadata.version('rapidocr')} at {file}. {advice}")
    return file


def to_bgr(images: Tensor) -> Pixels:
    """Return images (B, 3, H, W) in [-1, 1], RGB, as bytes (B, H, W, 3), BGR."""
    values = images.detach().float().cpu().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return np.ascontiguousarray(values.flip(1).permute(0, 2, 3, 1).numpy())
