"""The one place that makes MMOCR 1.0.1 importable without compiling anything. No effect where it is not needed.

MMOCR asks for mmcv 2.0.x. Its compiled build needs an older torch; `mmcv-lite` has the same Python code without the
compiled operations, and all that DBNet and ABINet need is in it. What is in the way, and what is done about it:

1. `mmocr.models` imports `mmdet.models`, which imports `mmcv.ops`, which looks its operations up in `mmcv._ext` when
   it is imported. Where that is absent, a stand-in takes its place; an operation that is called says what it needs.
2. `mmocr.datasets` imports imgaug 0.4.0, which reads `np.sctypes` when it is imported; NumPy 2 has it no more.
   `imgaug_importable` lends it for as long as the import lasts. The detector and the backbone do not need it.
3. MMOCR's modules warn when they are imported (moved names, escapes in strings). They are told to whom it concerns:
   nobody here.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from regionloss.errors import PluginError

INSTALL = "pip install 'regionloss-text[mmocr]'"


def require_mmocr(where: str) -> None:
    """Raise PluginError unless MMOCR is installed; imports nothing, so that other mistakes are told at once."""
    if importlib.util.find_spec("mmocr") is None:
        raise PluginError(f"{where}: expected MMOCR, got no package 'mmocr'. Install it: {INSTALL}")


def load_mmocr(where: str) -> Path:
    """Import MMOCR's models, so that they are in its registry, and return the folder of its configs.

    Args:
        where: Part that needs MMOCR, for the sentence, e.g. `"detector 'text/dbnet'"`.

    Raises:
        PluginError: MMOCR is not installed, or the installed versions do not fit one another.
    """
    require_mmocr(where)
    try:
        stand_in_for_mmcv_ops()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("mmocr.models")
    except Exception as error:  # missing parts, and assertions about versions that do not fit
        reason = " ".join(str(error).split()).rstrip(".")
        got = f"{type(error).__name__}: {reason}"
        raise PluginError(
            f"{where}: MMOCR cannot be imported ({got}). Install what fits together: {INSTALL}"
        ) from error
    return Path(str(importlib.import_module("mmocr").__file__)).parent / ".mim" / "configs"


def stand_in_for_mmcv_ops() -> bool:
    """Put a stand-in in the place of `mmcv._ext` if mmcv was installed without it; return whether that was so."""
    if importlib.util.find_spec("mmcv") is None or importlib.util.find_spec("mmcv._ext") is not None:
        return False
    module = types.ModuleType("mmcv._ext", "Stands for mmcv's compiled operations, which are not installed.")
    module.__spec__ = importlib.machinery.ModuleSpec("mmcv._ext", loader=None)
    module.__getattr__ = _operation  # type: ignore[method-assign]
    sys.modules["mmcv._ext"] = module
    return True


def _operation(name: str) -> Callable[..., NoReturn]:
    if name.startswith("__"):
        raise AttributeError(name)

    def operation(*args: Any, **options: Any) -> NoReturn:
        raise NotImplementedError(
            f"mmcv's operation '{name}' is compiled, and mmcv-lite has none. Build mmcv 2.0.1 for the torch that is "
            "installed (docs/explanation/mmocr.md)."
        )

    return operation


@contextmanager
def imgaug_importable() -> Iterator[None]:
    """Lend NumPy 2 the `sctypes` that imgaug reads while it is imported, as in `import mmocr.datasets`."""
    import numpy as np

    if hasattr(np, "sctypes"):
        yield
        return
    signed = [np.int8, np.int16, np.int32, np.int64]
    unsigned = [np.uint8, np.uint16, np.uint32, np.uint64]
    vars(np)["sctypes"] = {"int": signed, "uint": unsigned, "float": [np.float16, np.float32, np.float64]}
    try:
        yield
    finally:
        del vars(np)["sctypes"]
