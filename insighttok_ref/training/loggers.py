"""Where numbers and pictures go beside metrics.jsonl: TensorBoard, Weights & Biases, or a class of the user's."""

from __future__ import annotations

import importlib
import json
import re
import uuid
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image
from pydantic import PositiveInt, field_validator, model_validator

from insighttok_ref.schema import Strict
from insighttok_ref.training.profiler import ProfileOptions
from regionloss.errors import InputError, PluginError, did_you_mean, expected

LOGGERS = {
    "tensorboard": "insighttok_ref.training.loggers:TensorBoardLogger",
    "wandb": "insighttok_ref.training.loggers:WandbLogger",
}


class LoggerUse(Strict):
    """A logger with its options.

    Args:
        use: `tensorboard`, `wandb`, or `package.module:Class` of any other.
        options: Options of the logger's constructor.
    """

    use: str
    options: Mapping[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        return {"use": given} if isinstance(given, str) else given

    @field_validator("use")
    @classmethod
    def _known(cls, use: str) -> str:
        if use not in LOGGERS and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", use):
            advice = f"{did_you_mean(use, LOGGERS)} Or say package.module:Class."
            raise ValueError(f"expected a logger, got '{use}'. {advice}")
        return use


class LogOptions(Strict):
    """How often the run writes, in steps, and where to.

    Args:
        every: Numbers: lines of metrics.jsonl, scalars of the loggers.
        save_every: Checkpoints to go on from.
        keep: Number of checkpoints that are kept.
        save_in_background: Whether a thread writes checkpoints while training goes on, from a copy in the host's
            memory; otherwise the step waits until all is written.
        images_every: Pictures: targets, reconstructions, regions.
        images: Most images in a picture.
        profile: Steps that torch's profiler watches; None for none.
        costs: Whether to write what each region term's forward pass costs, `cost/NAME_ms`.
        loggers: Beside metrics.jsonl, which is always written.
    """

    every: PositiveInt = 5
    save_every: PositiveInt = 200
    keep: PositiveInt = 2
    save_in_background: bool = True
    images_every: PositiveInt = 500
    images: PositiveInt = 8
    costs: bool = False
    profile: ProfileOptions | None = None
    loggers: tuple[LoggerUse, ...] = (LoggerUse(use="tensorboard"),)

    @field_validator("loggers")
    @classmethod
    def _once(cls, loggers: tuple[LoggerUse, ...]) -> tuple[LoggerUse, ...]:
        names = [logger.use for logger in loggers]
        if len(names) != len(set(names)):
            raise ValueError(f"expected each logger once, got {names}. Name each once.")
        return loggers


class Logger(Protocol):
    """A place to write to. Its constructor gets `folder`, `first_step`, `config` and the recipe's options."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write a step's numbers."""

    def image(self, step: int, name: str, picture: Image.Image) -> None:
        """Write a picture of a step."""

    def close(self) -> None:
        """Write what is still to be written."""


class TensorBoardLogger:
    """Event files for TensorBoard, in `folder/tensorboard`.

    Args:
        folder: Folder of the run.
        first_step: Steps from here on replace what an earlier sitting wrote.
        config: The resolved recipe.
    """

    def __init__(self, folder: Path, first_step: int, config: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step)
        if first_step == 0:
            self.writer.add_text("recipe", f"```json\n{json.dumps(config.get('recipe', {}), indent=1)}\n```", 0)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write a step's numbers."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()  # who looks sees this step, and a run that is killed has lost nothing

    def image(self, step: int, name: str, picture: Image.Image) -> None:
        """Write a picture of a step."""
        self.writer.add_image(f"images/{name}", np.asarray(picture.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        """Write what is still to be written."""
        self.writer.close()


class WandbLogger:
    """A run of Weights & Biases; a resumed run goes on with the one it began.

    Steps that are done again after a stop keep the numbers of the first time: a W&B run takes no step twice.

    Args:
        folder: Folder of the run.
        first_step: Not needed: the run knows its steps.
        config: The resolved recipe.
        options: Options of `wandb.init`: project, name, mode, ...
    """

    def __init__(self, folder: Path, first_step: int, config: Mapping[str, Any], **options: Any) -> None:
        import wandb

        kept = folder / "wandb-run.txt"
        number = kept.read_text(encoding="utf-8").strip() if kept.is_file() else uuid.uuid4().hex[:8]
        recipe = dict(config.get("recipe", {}))
        chosen: dict[str, Any] = {"id": number, "resume": "allow", "dir": str(folder), "config": recipe, **options}
        self.wandb, self.run = wandb, wandb.init(**chosen)
        kept.write_text(f"{self.run.id}\n", encoding="utf-8")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write a step's numbers."""
        self.run.log(dict(values), step=step)

    def image(self, step: int, name: str, picture: Image.Image) -> None:
        """Write a picture of a step."""
        self.run.log({f"images/{name}": self.wandb.Image(picture)}, step=step)

    def close(self) -> None:
        """Write what is still to be written."""
        self.run.finish()


class Loggers:
    """Several loggers as one; one that fails while the run goes on is reported once and left out from then on.

    Args:
        loggers: Loggers by name.
    """

    def __init__(self, loggers: Mapping[str, Logger]) -> None:
        self.loggers = dict(loggers)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write a step's numbers."""
        self._each(lambda logger: logger.scalars(step, values))

    def image(self, step: int, name: str, draw: Callable[[], Image.Image]) -> None:
        """Draw a picture of a step and write it; what cannot be drawn is left out, with a warning."""
        try:
            picture = draw()
        except Exception as error:  # no reason to lose a training, either
            warnings.warn(f"step {step}: no picture of '{name}': {type(error).__name__}: {error}", stacklevel=2)
            return
        self._each(lambda logger: logger.image(step, name, picture))

    def close(self) -> None:
        """Write what is still to be written."""
        self._each(lambda logger: logger.close())

    def _each(self, write: Callable[[Logger], None]) -> None:
        for name, logger in list(self.loggers.items()):
            try:
                write(logger)
            except Exception as error:  # a lost connection is no reason to lose a training
                del self.loggers[name]
                warnings.warn(f"logger '{name}': left out from now on, since it failed: {error}", stacklevel=3)


def build_loggers(options: LogOptions, folder: Path, first_step: int, config: Mapping[str, Any]) -> Loggers:
    """Return the loggers of a run; the first rank alone calls this.

    Args:
        options: Loggers that are asked for, and their options.
        folder: Folder of the run.
        first_step: Step of the run at which it begins or goes on.
        config: The resolved recipe.

    Raises:
        InputError: A logger does not take its options, cannot begin, or is no logger.
        PluginError: Its package is not installed.
    """
    return Loggers({use.use: _built(use, folder, first_step, config) for use in options.loggers})


def _built(use: LoggerUse, folder: Path, first_step: int, config: Mapping[str, Any]) -> Logger:
    where = f"log.loggers ('{use.use}')"
    made = _class_of(use.use, where)
    try:
        logger: Logger = made(folder=folder, first_step=first_step, config=config, **use.options)
    except ImportError as error:
        raise PluginError(expected(where, "its package", str(error), _install(use.use))) from error
    except TypeError as error:
        raise InputError(expected(where, "options that it takes", str(error))) from error
    except Exception as error:  # of any kind: the service's, the user's
        advice = "Mend it, or leave the logger out: metrics.jsonl is written all the same."
        raise InputError(expected(where, "a logger that can begin", str(error).rstrip("."), advice)) from error
    missing = [name for name in ("scalars", "image", "close") if not callable(getattr(logger, name, None))]
    if missing:
        wanted = "the methods scalars, image and close"
        raise InputError(expected(where, wanted, f"a {type(logger).__name__} without {', '.join(missing)}"))
    return logger


def _class_of(name: str, where: str) -> Callable[..., Any]:
    module, _, attribute = LOGGERS.get(name, name).partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except Exception as error:  # a module of the user's may fail in any way
        got = f"{type(error).__name__}: {error}"
        raise PluginError(expected(where, f"a module {module}", got, _install(name))) from error
    if not callable(found):
        raise InputError(expected(where, f"a class {attribute} in {module}", "none"))
    return found  # type: ignore[no-any-return]


def _install(name: str) -> str:
    return f"Run 'pip install {name}'." if name in LOGGERS else "Is it installed, or on PYTHONPATH?"
