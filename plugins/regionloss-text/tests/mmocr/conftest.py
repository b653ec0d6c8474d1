"""MMOCR's own models, with random weights, to compare ours with."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

MISSING = "MMOCR is not installed: pip install 'regionloss-text[mmocr]'"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs MMOCR where it is not installed; `test_without.py` runs everywhere."""
    if importlib.util.find_spec("mmocr") is not None:
        return
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and "without" not in item.path.stem:
            item.add_marker(pytest.mark.skip(reason=MISSING))


@dataclass(frozen=True)
class Theirs:
    """A model that MMOCR built, its config, and the checkpoint that it was saved to."""

    model: Any
    config: Any
    file: Path


@pytest.fixture(scope="session")
def make_theirs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Theirs]:
    """Return a function that builds a config of MMOCR's with random weights and saves a checkpoint of it."""
    from regionloss_text.mmocr.compat import load_mmocr

    folder = load_mmocr("tests")
    from mmengine.config import Config
    from mmengine.registry import DefaultScope
    from mmocr.registry import MODELS

    def make(name: str, prepare: Callable[[nn.Module], None] | None = None) -> Theirs:
        config = Config.fromfile(str(folder / name))
        torch.manual_seed(0)
        with DefaultScope.overwrite_default_scope("mmocr"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="padding does not exist in the dictionary")
            model = MODELS.build(config.model).eval()
        unsettle(model)
        if prepare is not None:
            prepare(model)
        file = tmp_path_factory.mktemp("mmocr") / f"{Path(name).stem}.pth"
        torch.save({"meta": {"epoch": 20}, "state_dict": model.state_dict()}, file)
        return Theirs(model, config, file)

    return make


def unsettle(model: nn.Module) -> None:
    """Give convolutions weights that carry the picture to the end, and batch norms statistics that matter."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.6, 1.5)
            nn.init.uniform_(module.weight, 0.7, 1.2)
            nn.init.uniform_(module.bias, -0.2, 0.2)


@pytest.fixture(scope="session")
def abinet_theirs(make_theirs: Callable[..., Theirs]) -> Theirs:
    """MMOCR's ABINet-vision."""
    return make_theirs("textrecog/abinet/abinet-vision_20e_st-an_mj.py")


def spread(model: nn.Module) -> None:
    """Scale the last layer so that some of a picture is text and some is not: random weights say 0.5 everywhere."""
    painted = torch.randn(1, 3, 24, 40, generator=torch.Generator().manual_seed(3))
    inputs = nn.functional.interpolate(painted, scale_factor=8, mode="bilinear")
    with torch.no_grad():
        last = model.det_head.binarize[-1]
        logits = model.det_head.binarize(model.extract_feat(inputs))
        smooth = last.weight.mean((2, 3), keepdim=True).expand_as(last.weight) * 4 / logits.std()
        last.weight.copy_(smooth)
        logits = model.det_head.binarize(model.extract_feat(inputs))
        last.weight.mul_(3 / logits.std())
        last.bias.sub_(3 / logits.std() * (logits.quantile(0.75) - last.bias) + last.bias)


@pytest.fixture(scope="session")
def dbnet_theirs(make_theirs: Callable[..., Theirs]) -> Theirs:
    """MMOCR's DBNet on ResNet-18."""
    return make_theirs("textdet/dbnet/dbnet_resnet18_fpnc_1200e_icdar2015.py", spread)


@pytest.fixture(scope="session")
def run_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Theirs, np.ndarray], tuple[Tensor, Any]]:
    """Return a function that takes a picture (H, W, 3) RGB uint8 through MMOCR's own test pipeline, from a file."""
    from regionloss_text.mmocr.compat import imgaug_importable, load_mmocr

    load_mmocr("tests")
    with imgaug_importable(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mmocr.datasets  # noqa: F401  (fills the registry)
    from mmengine.dataset import Compose
    from mmengine.registry import DefaultScope

    folder = tmp_path_factory.mktemp("pictures")

    def run(theirs: Theirs, picture: np.ndarray) -> tuple[Tensor, Any]:
        file = folder / "picture.png"
        Image.fromarray(picture).save(file)
        steps = [step for step in theirs.config.test_pipeline if step["type"] != "LoadOCRAnnotations"]
        with DefaultScope.overwrite_default_scope("mmocr"):
            packed = Compose(steps)({"img_path": str(file)})
        batch = {"inputs": [packed["inputs"]], "data_samples": [packed["data_samples"]]}
        data = theirs.model.data_preprocessor(batch, training=False)
        return data["inputs"], data["data_samples"]

    return run


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    """Return a function that paints a smooth, colourful picture (H, W, 3) RGB uint8."""

    def paint(height: int, width: int, seed: int = 0) -> np.ndarray:
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(1, 3, height // 8 + 1, width // 8 + 1, generator=generator)
        smooth = nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
        return (smooth[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()

    return paint


@pytest.fixture(scope="session")
def as_images() -> Callable[[np.ndarray], Tensor]:
    """Return a function that turns a picture into a batch of one image (1, 3, H, W) in [-1, 1]."""
    return lambda picture: torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
