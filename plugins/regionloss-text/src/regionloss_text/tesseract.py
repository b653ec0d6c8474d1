"""A judge of text with a language model whose weights ship in a package: Tesseract's LSTM and its dictionaries."""

from __future__ import annotations

import gzip
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor

from regionloss.errors import PluginError, WeightsError, expected, reason_of
from regionloss.judges import Reading
from regionloss.regions import Regions
from regionloss.weights import SUFFIXES, locate, sha256_of
from regionloss_text.judge import crops_of
from regionloss_text.rapid import Pixels

HEIGHT, BORDER = 48, 10
#: Widest crop, in heights: wider ones are squeezed.
WIDEST = 64
#: Dots an inch, said so that Tesseract does not guess.
RESOLUTION = 150
LANGUAGE = "eng"


class TesseractJudge:
    """Reads each region with Tesseract 5: an LSTM, and dictionaries of English, which repair letters as it reads.

    Args:
        weights: Name of the weights, or a path to an `eng.traineddata`, also packed (`.gz`).

    Raises:
        PluginError: tesserocr is not installed.
        WeightsError: The weights are not here, or are none of Tesseract.

    Source: Smith, An overview of the Tesseract OCR engine (2007); tessdata 4.0.0, integer LSTM.
    """

    kind = "text"
    language_model = True
    pipeline = (
        "box in whole pixels, clipped to the image; grey, 48 pixels high (Lanczos), 10 pixels around it of its edge's "
        "median; one line"
    )

    def __init__(self, weights: str = "tesseract-eng") -> None:
        path = Path(weights).expanduser()
        named = not (path.is_file() or path.suffix in (*SUFFIXES, ".gz", ".traineddata"))
        file = locate(weights) if named else path
        if not file.is_file():
            raise WeightsError(f"weight file {file} not found. Check the path.")
        self.weights_sha256 = sha256_of(file)
        self.engine, self.tool = open_engine(file)

    def judge(self, images: Tensor, regions: Regions) -> list[Reading]:
        """Return one reading per region of images (B, 3, H, W) in [-1, 1], in their order.

        Raises:
            InputError: Images or regions that do not fit.
        """
        return [self._read(crop[..., ::-1]) for crop in crops_of(images, regions)]

    def _read(self, pixels: Pixels) -> Reading:
        self.engine.SetImage(line(pixels))
        self.engine.SetSourceResolution(RESOLUTION)
        text = self.engine.GetUTF8Text().strip()
        return Reading(text, self.engine.MeanTextConf() / 100 if text else 0.0)


def line(pixels: Pixels) -> Image.Image:
    """Return the pixels (h, w, 3), RGB, of a crop as a grey line with a border."""
    width = min(max(math.ceil(HEIGHT * pixels.shape[1] / pixels.shape[0]), 1), WIDEST * HEIGHT)
    grey = Image.fromarray(np.ascontiguousarray(pixels)).convert("L")
    grey = grey.resize((width, HEIGHT), Image.Resampling.LANCZOS)
    values = np.asarray(grey)
    edge = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    return ImageOps.expand(grey, BORDER, fill=int(np.median(edge)))


def open_engine(file: Path) -> tuple[Any, str]:
    """Return Tesseract with its weights, and what it is."""
    try:
        import tesserocr
    except ImportError as error:
        advice = "Run pip install 'regionloss-text[tesseract]'."
        raise PluginError(expected("tesseract", "the package tesserocr", "none", advice)) from error
    # Tesseract reads a folder, and only when it starts.
    with tempfile.TemporaryDirectory() as folder:
        try:
            data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            (Path(folder) / f"{LANGUAGE}.traineddata").write_bytes(data)
            modes = {"psm": tesserocr.PSM.SINGLE_LINE, "oem": tesserocr.OEM.LSTM_ONLY}
            engine = tesserocr.PyTessBaseAPI(path=f"{folder}/", lang=LANGUAGE, **modes)
        except (OSError, EOFError, RuntimeError) as error:
            raise WeightsError(expected(str(file), "Tesseract's data of English", reason_of(error))) from error
    version = tesserocr.tesseract_version().split()[1]
    return engine, f"Tesseract {version}, tessdata 4.0.0 of English (LSTM and dictionaries)"
