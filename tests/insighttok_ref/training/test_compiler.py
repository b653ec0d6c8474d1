"""What is said where nothing can be compiled."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from insighttok_ref.training.compiler import check_compiler
from regionloss.errors import PluginError


def test_a_compiler_that_is_not_there_is_a_sentence() -> None:
    def broken(*_: object) -> Callable[..., object]:
        raise FileNotFoundError(2, "No such file or directory", "g++")

    sentence = r"^--compile: expected a compiler for torch\.compile, got .*g\+\+.* Install g\+\+ .*; or leave it out\.$"
    with pytest.raises(PluginError, match=sentence):
        check_compiler(torch.device("cpu"), broken, "--compile", "leave it out.")
