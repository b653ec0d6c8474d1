"""How deep a pickle nests tuples, told without building them: a deep one that is used as a key ends the process."""

from __future__ import annotations

import io
import pickletools
from typing import IO

#: Tuples in tuples that any machine can hash.
DEEPEST = 10_000
TUPLES = {"TUPLE": b"t", "TUPLE1": b"\x85", "TUPLE2": b"\x86", "TUPLE3": b"\x87"}


def too_deep(pickled: bytes) -> bool:
    """Whether a pickle nests tuples deeper than can be hashed.

    Raises:
        ValueError: It is no pickle.
    """
    most = sum(map(pickled.count, TUPLES.values()))  # without a look at each: most files have no more in all
    return most > DEEPEST and depth(io.BytesIO(pickled)) > DEEPEST


def depth(stream: IO[bytes]) -> int:
    """Return how many tuples are inside one another in the next pickle of a stream, which is left at its end.

    It stops where they are too many.
    """
    stack, marks, memo, deepest = list[int](), list[int](), dict[object, int](), 0
    for code, argument, _ in pickletools.genops(stream):
        top = stack[-1] if stack else 0
        if code.name == "MARK":
            marks.append(len(stack))
        elif code.name == "POP" and marks[-1:] == [len(stack)]:
            marks.pop()
        elif code.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = top
        elif code.name == "MEMOIZE":
            memo[len(memo)] = top
        else:
            taken = _taken(code, stack, marks)
            made = max(taken, default=0) + 1 if code.name in TUPLES else 0
            made = memo.get(argument, 0) if code.name in ("GET", "BINGET", "LONG_BINGET") else made
            stack += [top if code.name == "DUP" else made] * len(code.stack_after)
            deepest = max(deepest, made)
            if deepest > DEEPEST:
                break
    return deepest


def _taken(code: pickletools.OpcodeInfo, stack: list[int], marks: list[int]) -> list[int]:
    """Take from a stack what an opcode takes, and return it."""
    begin = len(stack) - len(code.stack_before)
    if pickletools.markobject in code.stack_before:  # and what stands before the mark: the list that is added to
        begin = (marks.pop() if marks else 0) - code.stack_before.index(pickletools.markobject)
    taken = stack[max(0, begin) :]
    del stack[max(0, begin) :]
    return taken
