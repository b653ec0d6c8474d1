"""Building parts of MMOCR's models from the configs that its wheel carries."""

from __future__ import annotations

from typing import Any

from regionloss.backbones import InputSpec
from regionloss_text.mmocr.compat import load_mmocr


def read_config(name: str, where: str) -> Any:
    """Return a config of the wheel, e.g. `textdet/dbnet/dbnet_resnet18_fpnc_1200e_icdar2015.py`.

    Args:
        name: Path of the config in MMOCR's `configs`.
        where: Part that needs MMOCR, for the sentence.

    Raises:
        PluginError: MMOCR is not installed.
    """
    folder = load_mmocr(where)
    from mmengine.config import Config

    return Config.fromfile(str(folder / name))


def build(part: Any) -> Any:
    """Build a model, or a part of one, by MMOCR's registry. Its weights are as its constructor left them: load some.

    The default scope of mmengine is set for as long as it takes, and nothing of `init_cfg` is downloaded.
    """
    from mmengine.registry import DefaultScope
    from mmocr.registry import MODELS

    with DefaultScope.overwrite_default_scope("mmocr"):
        return MODELS.build(part)


def input_spec(preprocessor: Any, size: tuple[int, int] | None = None) -> InputSpec:
    """Return what a config's `data_preprocessor` makes of an image, as an `InputSpec`.

    MMOCR reads images as BGR. A network sees RGB only where its config says `bgr_to_rgb`; without, it was trained on
    BGR, whatever the order of the numbers in `mean` and `std` was meant to be.
    """
    return InputSpec(
        size=size,
        value_range=(0.0, 255.0),
        channels="RGB" if preprocessor.get("bgr_to_rgb", False) else "BGR",
        mean=tuple(preprocessor["mean"]),
        std=tuple(preprocessor["std"]),
    )
