"""ZeRO 3: a module of which every rank holds a part, from its first weights to its file.

A checkpoint is universal: each rank writes its part under the names of the weights, and any number of ranks reads them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from insighttok_ref.training.checkpoint import WHAT
from insighttok_ref.training.weight_files import (
    MOMENTS,
    SharedWeights,
    TensorFile,
    Weights,
    entry_of,
    part_file,
    part_of,
)
from insighttok_ref.training.zero.engine import DeepSpeedEngine
from insighttok_ref.training.zero.library import accepted, import_deepspeed
from regionloss.errors import WeightsError, expected
from regionloss.runs import rank_and_size
from regionloss.weights import readable


@contextmanager
def sharded(config: Mapping[str, Any], device: torch.device) -> Iterator[None]:
    """Share out the weights of every module that is made within, as soon as it is made.

    Args:
        config: What DeepSpeed is told.
        device: Device of this rank.

    Raises:
        InputError: Options that DeepSpeed refuses.
        PluginError: It is not installed.
    """
    deepspeed = import_deepspeed(device)
    # It takes the number of the device from there, in the first forwards, too.
    if device.type == "cuda" or "LOCAL_RANK" not in os.environ:
        os.environ["LOCAL_RANK"] = str(device.index or 0)
    with accepted(config) as told:
        making = deepspeed.zero.Init(config_dict_or_path=told)
        told.asked |= told.keys()  # the engine asks for all of them
    with making:
        yield


def gathered(parameters: Iterable[nn.Parameter], *, changed: bool = False) -> AbstractContextManager[None]:
    """Bring shared weights together for a moment; every rank calls it.

    Args:
        parameters: Weights of which each rank has a part.
        changed: Whether what the first rank makes of them is kept, by all.
    """
    from deepspeed.runtime.zero.partition_parameters import GatheredParameters

    found: AbstractContextManager[None] = GatheredParameters(list(parameters), modifier_rank=0 if changed else None)
    return found


def size_of(parameter: nn.Parameter) -> int:
    """Return how many numbers a weight has, shared or not."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))


class ShardedEngine(DeepSpeedEngine):
    """ZeRO 3's backward, reduction, clipping and step; goes on with any number of ranks.

    Args: as for `DeepSpeedEngine`; the module was made within `sharded`.
    """

    @property
    def named(self) -> Iterator[tuple[str, Any]]:
        """The shared weights by name."""
        yield from self.engine.module.named_parameters()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a micro-batch's 0-d loss; see `Engine`."""
        self.optimizer.clear_backward_seen_flag()  # DeepSpeed's own forward counts micro-batches so
        super().backward(loss)

    def shards(self) -> Mapping[str, Any]:
        """Return this rank's part of weights and moments: tensors alone, by the names of the weights."""
        rank, ranks = rank_and_size()
        step = self._moments()
        told = {
            "ranks": ranks,
            "step": step,
            "shapes": {name: tuple(weight.ds_shape) for name, weight in self.named},
        }
        return {part_file(self.key, rank): TensorFile(self._parts, {"zero": json.dumps(told)})}

    def load(self, folder: Path) -> None:
        """Go on from what any number of ranks has saved; see `Engine`."""
        from deepspeed.utils import safe_set_local_optimizer_state

        saved = SharedWeights(folder, self.key)
        self.start_from(saved, str(folder))
        self._moments(saved.step)
        with readable(folder, WHAT):
            for name, weight in self.named:
                for moment in MOMENTS if weight.requires_grad else ():
                    safe_set_local_optimizer_state(weight, self._my(weight, saved, name, moment=moment), moment)

    def start_from(self, weights: Weights, where: str, *, some: bool = False) -> None:
        """Take weights from elsewhere; each rank reads its own part alone.

        Args:
            weights: Weights of the module's names and shapes.
            where: What names them in sentences.
            some: Whether there may be less than all: the others stay as they are.

        Raises:
            WeightsError: A weight is absent, or has another shape.
        """
        from deepspeed.utils import safe_set_local_fp32_param

        for name, weight in self.named:
            shape = weights.shapes.get(name)
            if some and shape is None:
                continue
            if shape != tuple(weight.ds_shape):
                got = "no such weight" if shape is None else str(shape)
                raise WeightsError(expected(f"{where}, '{name}'", f"a shape {tuple(weight.ds_shape)}", got))
            with readable(where, WHAT):
                mine = self._my(weight, weights, name)
            if weight.ds_status == type(weight.ds_status).AVAILABLE:
                weight.partition()
            weight.ds_tensor.data.copy_(mine)
            if weight.requires_grad:
                safe_set_local_fp32_param(weight, mine)

    def whole(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each weight whole, float32, one after another; every rank takes part."""
        from deepspeed.utils import safe_get_full_fp32_param

        for name, weight in self.named:
            if weight.requires_grad:
                yield name, safe_get_full_fp32_param(weight)
            else:
                with gathered([weight]):
                    yield name, weight.detach().float()

    def _my(self, weight: Any, weights: Any, name: str, **of: str) -> Tensor:
        """This rank's part of a weight on disk, as long as DeepSpeed has made all of them."""
        part: Tensor = weights.part(name, *part_of(weight.ds_numel, *rank_and_size()), **of)
        return F.pad(part.float(), (0, weight.ds_tensor.numel() - part.numel()))

    def _parts(self) -> Iterator[tuple[str, Tensor]]:
        """This rank's part of each weight, without what DeepSpeed has filled up, and of its moments."""
        from deepspeed.utils import safe_get_local_fp32_param, safe_get_local_optimizer_state

        for name, weight in self.named:
            first, last = part_of(weight.ds_numel, *rank_and_size())
            own = slice(last - first)
            if not weight.requires_grad:
                yield name, weight.ds_tensor.data[own]
                continue
            yield name, safe_get_local_fp32_param(weight)[own]
            for moment in MOMENTS:
                yield entry_of(name, moment), safe_get_local_optimizer_state(weight, moment)[own]

    def _moments(self, step: float | None = None) -> float:
        """Make the optimizer's moments where it has none yet, and say how many steps they have seen; return that."""
        group = self._inner.param_groups[0]
        for flat in self.optimizer.fp32_partitioned_groups_flat:
            state = self._inner.state[flat]
            if not state:
                state["step"] = torch.zeros((), device=flat.device if group["fused"] else "cpu")
                state.update({moment: torch.zeros_like(flat) for moment in MOMENTS})
            if step is not None:
                state["step"].fill_(step)
        return float(state["step"])
