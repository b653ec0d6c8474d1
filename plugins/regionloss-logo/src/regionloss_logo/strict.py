"""Weights that fit a network, all of them and no others."""

from __future__ import annotations

from torch import Tensor, nn

from regionloss.errors import WeightsError, expected


def load_strictly(network: nn.Module, tensors: dict[str, Tensor], weights: str) -> None:
    """Give a network its weights.

    Raises:
        WeightsError: Names or shapes differ; says how many, and the first of each.
    """
    own = network.state_dict()
    # Files from before this counter existed lack it; nothing reads it.
    tensors = {name: value for name, value in own.items() if name.endswith("num_batches_tracked")} | tensors
    wanted = {name: tuple(value.shape) for name, value in own.items()}
    got = {name: tuple(value.shape) for name, value in tensors.items()}
    if wanted != got:
        shapes = sorted(name for name in wanted.keys() & got.keys() if wanted[name] != got[name])
        missing, unknown = sorted(wanted.keys() - got.keys()), sorted(got.keys() - wanted.keys())
        parts = ((missing, "missing"), (unknown, "unknown"), (shapes, "of another shape"))
        said = ", ".join(f"{len(names)} {what} ({names[0]})" for names, what in parts if names)
        raise WeightsError(expected(f"weights '{weights}'", f"the {len(wanted)} tensors of the network", said))
    network.load_state_dict(tensors)
