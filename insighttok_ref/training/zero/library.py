"""DeepSpeed, imported for a device, and what it wants to find."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed as dist

from regionloss.errors import InputError, PluginError, RegionLossError, did_you_mean, expected, reason_of


class AskedOptions(dict[str, Any]):
    """Options that remember which of them were asked for: DeepSpeed passes over what it does not know."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.asked: set[str] = set()

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return an option, or the default."""
        self.asked.add(name)
        return super().get(name, default)


@contextmanager
def accepted(config: Mapping[str, Any]) -> Iterator[AskedOptions]:
    """Yield a configuration for DeepSpeed to start with.

    Raises:
        InputError: It refuses an option, or does not know it.
    """
    from deepspeed.runtime.config import DeepSpeedConfigError

    options = AskedOptions(config)
    try:
        yield options
    except RegionLossError:
        raise
    except (ValueError, AssertionError, TypeError, KeyError, DeepSpeedConfigError) as error:
        got = f"what it refuses ({reason_of(error)})"
        raise InputError(expected("engine.options", "options that DeepSpeed takes", got)) from error
    if unknown := sorted(options.keys() - options.asked):
        advice = did_you_mean(unknown[0], options.asked - {*unknown})
        raise InputError(expected(f"engine.options.{unknown[0]}", "an option of DeepSpeed", "none of them", advice))


@contextmanager
def local_rank_named() -> Iterator[None]:
    """Set LOCAL_RANK where no launcher has: DeepSpeed asks for it when it starts, and nobody afterwards."""
    missing = "LOCAL_RANK" not in os.environ
    os.environ.setdefault("LOCAL_RANK", "0")
    try:
        yield
    finally:
        if missing:
            del os.environ["LOCAL_RANK"]


def import_deepspeed(device: torch.device) -> Any:
    """Import DeepSpeed for a device.

    Raises:
        PluginError: It is not installed.
    """
    if device.type == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    try:
        import deepspeed
        import deepspeed.ops
    except ImportError as error:
        raise PluginError(
            f"engine 'deepspeed': expected DeepSpeed, got {error}. Run 'pip install \"regionloss[deepspeed]\"', "
            "or train with trainer.options.engine.name=plain."
        ) from error
    # Its shared-memory collective serves inference alone, and would be compiled at start.
    getattr(deepspeed.ops, "__compatible_ops__", {})["deepspeed_shm_comm"] = False
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    _forget_earlier_runs(deepspeed)
    return deepspeed


def _forget_earlier_runs(deepspeed: Any) -> None:
    """DeepSpeed keeps the process group of an earlier run in this process, which is void once that has ended."""
    groups = deepspeed.utils.groups
    try:
        if groups._WORLD_GROUP is not None:
            dist.get_process_group_ranks(groups._WORLD_GROUP)
    except KeyError:  # torch has forgotten it
        groups._WORLD_GROUP = deepspeed.comm.comm.cdb = None
