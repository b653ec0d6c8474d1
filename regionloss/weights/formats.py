"""What a file is, by its content, where it is no checkpoint that torch or safetensors could read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

from regionloss.errors import WeightsError, expected

#: Fields of ONNX's ModelProto that files have, and how each is written (0 a number, 2 a length and bytes).
_ONNX = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2}
_IR_VERSION, _GRAPH = 1, 7
_MARKS = {
    rb"\x89HDF\r\n\x1a\n": "an HDF5 file (of Keras, say)",
    rb".{4}TFL3": "a TensorFlow Lite file",
    rb"GGUF": "a GGUF file",
    rb"version https://git-lfs": "a pointer of Git LFS in its place, which 'git lfs pull' replaces",
    rb"(?i)\s*<(!doctype|html|\?xml)": "a page of a web site in its place",
}
_ADVICE = "Take the file of the same network that PyTorch saved."


def refuse_foreign(file: Path) -> None:
    """Raise WeightsError for a file of another kind, which says what it is."""
    with file.open("rb") as stream:
        head = stream.read(64)
        found = [what for mark, what in _MARKS.items() if re.match(mark, head, re.DOTALL)]
        if file.suffix == ".onnx" or _is_onnx(stream):
            found = ["an ONNX file"]
    if found:
        raise WeightsError(expected(str(file), "weights of PyTorch or safetensors", found[0], _ADVICE))


def _is_onnx(stream: IO[bytes]) -> bool:
    """Return whether a stream holds the fields of ONNX's outermost message, its version and its graph among them."""
    seen: set[int] = set()
    size = stream.seek(0, 2)
    stream.seek(0)
    while stream.tell() < size and not {_IR_VERSION, _GRAPH} <= seen:
        field, written = divmod(_number(stream), 8)
        if _ONNX.get(field) != written:
            return False
        value = _number(stream)
        if written == 2:
            stream.seek(min(stream.tell() + value, size))
        seen.add(field)
    return {_IR_VERSION, _GRAPH} <= seen


def _number(stream: IO[bytes]) -> int:
    """Return protobuf's next integer: 7 bits a byte, lowest first; what is left of it where the stream ends."""
    value = 0
    for place in range(10):
        byte = stream.read(1)
        value |= (byte[0] & 127) << 7 * place if byte else 0
        if not byte or byte[0] < 128:
            break
    return value
