"""What `torch.compile` compiles with, looked for before it is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from regionloss.errors import PluginError, expected, reason_of

#: A name that torch knows, or a function of a graph and its inputs.
Backend = str | Callable[..., Any]
NEEDED = "Install g++ for a CPU, or triton for a GPU"


def check_compiler(device: torch.device, backend: Backend, where: str, instead: str) -> None:
    """Compile next to nothing, before anything long begins.

    Args:
        device: Where the program is to run.
        backend: What it is compiled with.
        where: What asks for it.
        instead: What else can be done, the end of a sentence.

    Raises:
        PluginError: It fails.
    """
    try:
        torch.compile(torch.neg, backend=backend)(torch.zeros(2, device=device))
    except Exception as error:  # torch has no common class for them
        advice = f"{NEEDED}; or {instead}"
        raise PluginError(expected(where, "a compiler for torch.compile", reason_of(error), advice)) from error
