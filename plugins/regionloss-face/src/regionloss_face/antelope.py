"""TokBench's judge of likeness: the recogniser of InsightFace's antelopev2, as its own code aligns and feeds it."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss import AlignedExtractor
from regionloss.checks import check_images, check_regions
from regionloss.errors import PluginError, WeightsError, expected, reason_of
from regionloss.judges import Embedding
from regionloss.regions import Regions
from regionloss_face.alignment import ARCFACE_TEMPLATE
from regionloss_face.given_file import file_of

SIDE = 112
RECOGNISER = "glintr100.onnx"


class AntelopeJudge:
    """Describes faces with glintr100 (ResNet100 on Glint360K), of unit length; the cosine of two is their likeness.

    Alignment is that of InsightFace: five keypoints onto ArcFace's template, plain bilinear reading, black outside.

    Args:
        weights: Name of the weights, or a path: `antelopev2.zip`, the folder that it unpacks to (both however deep the
            network lies in them), or `glintr100.onnx` itself.

    Raises:
        PluginError: onnxruntime is not installed.
        WeightsError: The weights are not here, or are no network of 112 x 112.

    Source: Deng et al., ArcFace (2019); InsightFace, model pack antelopev2 (non-commercial research); TokBench.
    """

    kind = "face"
    pipeline = (
        "five keypoints to ArcFace's template by a similarity, 112 x 112, bilinear, black outside, bytes; "
        "(RGB - 127.5) / 127.5"
    )

    def __init__(self, weights: str = "antelopev2") -> None:
        data = network_of(weights)
        self.weights_sha256 = hashlib.sha256(data).hexdigest()
        self.session, runtime = open_session(data, weights)
        self.tool = f"antelopev2's glintr100 (InsightFace), onnxruntime {runtime}"
        self.extractor = AlignedExtractor(ARCFACE_TEMPLATE, (SIDE, SIDE), padding="black")

    def judge(self, images: Tensor, regions: Regions) -> list[Embedding]:
        """Return one description per face of images (B, 3, H, W) in [-1, 1]; the regions carry five keypoints.

        Raises:
            InputError: Images or regions that do not fit, or regions without five keypoints.
        """
        check_images(images, "images")
        check_regions(regions, images)
        if len(regions) == 0:
            return []
        pixels = (norm_crops(images, regions, self.extractor) - 127.5) / 127.5
        name = self.session.get_inputs()[0].name
        # One by one: no description depends on the faces beside it, and some exports take one alone.
        vectors = [self.session.run(None, {name: one[None].numpy()})[0][0] for one in pixels]
        return [Embedding(vector) for vector in F.normalize(torch.from_numpy(np.stack(vectors)).float())]


@torch.no_grad()
def norm_crops(images: Tensor, regions: Regions, extractor: AlignedExtractor) -> Tensor:
    """Return faces (R, 3, 112, 112) as InsightFace's `norm_crop` cuts them, values of bytes, RGB."""
    inverse, offset = extractor.to_image(regions.to("cpu"), torch.float64)
    pixels = images.detach().cpu().double().clamp(-1, 1).add(1).mul(127.5).round()
    height, width = pixels.shape[2:]
    steps = torch.arange(SIDE, dtype=torch.float64) + 0.5
    canvas = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)
    scale = torch.tensor([2 / width, 2 / height], dtype=torch.float64)
    found = []
    for matrix, shift, owner in zip(inverse, offset, regions.image_index.tolist(), strict=True):
        points = (canvas @ matrix.T + shift) * scale - 1
        found.append(F.grid_sample(pixels[owner][None], points[None], padding_mode="zeros", align_corners=False)[0])
    return torch.stack(found).round().float()


def network_of(weights: str) -> bytes:
    """Return the recogniser's file from a pack of models, packed or unpacked, or from itself.

    Raises:
        WeightsError: It is not there; the sentence names what is.
    """
    given = Path(weights).expanduser()
    path = given if given.exists() else file_of(weights)
    if path.is_dir():
        files = {str(file.relative_to(path)): file for file in sorted(path.rglob("*.onnx"))}
        return chosen(path, list(files), lambda name: files[name].read_bytes())
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as pack:
            try:
                return chosen(path, pack.namelist(), pack.read)
            except (zipfile.BadZipFile, RuntimeError, OSError, EOFError, NotImplementedError) as error:
                raise WeightsError(expected(str(path), "a zip file that can be read", reason_of(error))) from error
    return path.read_bytes()


def chosen(path: Path, names: list[str], read: Any) -> bytes:
    """Return the recogniser among files of a pack."""
    mine = [name for name in names if name.replace("\\", "/").rpartition("/")[2] == RECOGNISER]
    if not mine:
        got = ", ".join(name for name in names if name.endswith(".onnx")) or "no network"
        raise WeightsError(expected(str(path), f"{RECOGNISER}, at any depth", got, "Is it antelopev2?"))
    data: bytes = read(mine[0])
    return data


def open_session(data: bytes, weights: str) -> tuple[Any, str]:
    """Return an ONNX network of images (N, 3, 112, 112), and the version of what runs it."""
    try:
        import onnxruntime
    except ImportError as error:
        advice = "Run pip install 'regionloss-face[onnx]'."
        raise PluginError(expected("antelopev2", "the package onnxruntime", "none", advice)) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 4
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own, one for each status
        got = str(error).splitlines()[0][:120]
        raise WeightsError(expected(f"weights '{weights}'", "an ONNX network", got)) from error
    shape = session.get_inputs()[0].shape
    if len(shape) != 4 or shape[1:] != [3, SIDE, SIDE]:
        raise WeightsError(expected(f"weights '{weights}'", f"a network of (N, 3, {SIDE}, {SIDE})", str(shape)))
    return session, onnxruntime.__version__
