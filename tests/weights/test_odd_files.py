"""Files that are hostile or merely odd, written opcode by opcode: a sentence that names the file, nothing is run."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regionloss.errors import WeightsError
from regionloss.weights import entries, load_state_dict, load_strictly, read_pickled
from regionloss.weights.convert import convert
from regionloss.weights.tuple_depth import DEEPEST

DEEP = b")" + b"\x85" * 20_000
ORDERED = b"ccollections\nOrderedDict\n)R"


def text(value: str) -> bytes:
    written = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(written)) + written


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"


def tensor(size: tuple[int, ...] = (2,), stride: tuple[int, ...] = (1,)) -> bytes:
    """Two ones, seen in another shape."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x02tQ"
    shape = b"K\x00" + numbers(*size) + numbers(*stride) + b"\x89" + ORDERED
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + shape + b"tR"


def mapping(*pairs: tuple[bytes, bytes], made: bytes = b"}", state: bytes = b"") -> bytes:
    return made + b"(" + b"".join(key + value for key, value in pairs) + b"u" + (state and state + b"b")


def object_of(state: bytes) -> bytes:
    return b"cother\nThing\n)\x81" + state + b"b"


def archive(file: Path, pickled: bytes) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as out:
        out.writestr("x/data.pkl", b"\x80\x02" + pickled + b".")
        out.writestr("x/version", "3\n")
        out.writestr("x/data/0", struct.pack("<ff", 1, 1))
    return file


W, ONES = text("w"), tensor()
OVERWRITTEN = {
    name: mapping((W, ONES), made=ORDERED, state=mapping((text(name), b"K\x01")))
    for name in ("items", "keys", "values", "get", "_metadata")
}
ODD = {
    **{f"own {name}": held for name, held in OVERWRITTEN.items()},
    **{f"inner {name}": mapping((text("state_dict"), held)) for name, held in OVERWRITTEN.items()},
    "deep key": mapping((DEEP, ONES)),
    "deep inner key": mapping((text("a"), mapping((DEEP, mapping((W, ONES)))))),
    "deep tuples": mapping((W, DEEP)),
    "deep lists": mapping((W, b"]" * 20_000 + b"a" * 19_999)),
    "no text": mapping((text("\ud800"), ONES)),
    "no texts": mapping((text("\ud800"), mapping((text("\udfff"), ONES)))),
    "long": mapping((text("a." * 500_000), ONES), (text("v"), b"N")),
    "number": mapping((b"\x8b" + struct.pack("<i", 4_000) + b"\x7f" * 4_000, ONES)),
    "tensor": mapping((ONES, ONES)),
    "itself": b"}q\x00" + text("a") + b"h\x00s" + W + ONES + b"s",
    "claims": mapping((W, tensor((10**9, 20), (0, 0)))),
    "claims more": mapping((W, tensor((10**9, 10**9), (0, 0)))),
    "outside": mapping((W, tensor((1000,)))),
    "object": mapping((text("o"), object_of(mapping((text("_modules"), b"K\x01"), (text("_parameters"), b"N"))))),
    "module": mapping(
        (text("o"), object_of(mapping((text("_modules"), OVERWRITTEN["items"]), (text("_buffers"), DEEP))))
    ),
    "empty": b"",
    "stack": b"000",
}  # fmt: skip


def network() -> nn.Module:
    made = nn.Module()
    made.register_buffer("w", torch.zeros(2))
    return made


def doors(file: Path) -> list[Callable[[], Any]]:
    return [
        lambda: load_state_dict(file),
        lambda: load_state_dict(file, key="state_dict"),
        lambda: load_state_dict(file, key="a.b.c"),
        lambda: convert(file),
        lambda: convert(file, key="state_dict"),
        lambda: load_strictly(network(), file),
        lambda: load_strictly(network(), file, key="a"),
    ]


@pytest.mark.parametrize("name", ODD)
def test_every_door_reads_it_or_says_a_sentence(name: str, tmp_path: Path) -> None:
    file, said = archive(tmp_path / "x.pt", ODD[name]), []
    for door in doors(file):
        try:
            door()
        except WeightsError as error:
            said.append(str(error))
    assert said
    assert all(str(file) in sentence and len(sentence) < 3_000 and sentence.isprintable() for sentence in said)


@pytest.mark.parametrize("name", ["own items", "own keys", "inner items", "inner get"])
def test_what_a_file_puts_in_place_of_methods_is_left_out(name: str, tmp_path: Path) -> None:
    file = archive(tmp_path / "x.pt", ODD[name])
    loaded = read_pickled(file, "weights")
    held = [entry.tensors["w"].tolist() for entry in entries(loaded)]
    assert held == [[1, 1]]
    assert load_state_dict(convert(file).path)["w"].tolist() == [1, 1]


def save(value: Any, file: Path) -> Path:
    torch.save(value, file)
    return file


def test_what_is_shared_stays_shared_and_tuples_of_numbers_tuples(tmp_path: Path) -> None:
    weight = torch.ones(2)
    held = {"a": weight, "b": weight, "betas": (0.5, 0.9), "pair": ("ema", {"w": weight})}
    loaded = read_pickled(save(held, tmp_path / "x.pt"), "weights")
    assert loaded["a"].data_ptr() == loaded["b"].data_ptr() == loaded["pair"][1]["w"].data_ptr()
    assert loaded["betas"] == (0.5, 0.9)
    assert loaded["pair"][0] == "ema"


@pytest.mark.parametrize(
    "value",
    [
        torch.eye(3).to_sparse(),
        torch.ones(3, device="meta"),
        torch.tensor(1.0),
    ],
    ids=["sparse", "meta", "number"],
)
def test_tensors_that_no_network_takes(value: Tensor, tmp_path: Path) -> None:
    file = save({"w": value}, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match=r"x\.pt"):
        load_strictly(network(), file)
    if value.ndim:
        with pytest.raises(WeightsError, match=r"x\.pt: "):
            convert(file)


BETWEEN = [b"", b"q\x00h\x000", b"(K\x01l0", b"\x94h\x00\x87\x94h\x00\x86"]


def test_tuples_too_deep_to_hash_do_not_end_the_process(tmp_path: Path) -> None:
    """A million in one another ended it without a word."""
    file = archive(tmp_path / "x.pt", mapping((b")" + b"\x85" * 1_000_000, b"N")))
    code = (
        "import sys; from pathlib import Path; from regionloss.weights import read_pickled\n"
        "try: read_pickled(Path(sys.argv[1]), 'weights', trust=True)\n"
        "except OSError as error: print(error)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0
    assert ended.stdout == f"{file}: expected weights, got more than {DEEPEST:,} tuples inside one another.\n"


@pytest.mark.parametrize("trust", [True, False])
@pytest.mark.parametrize("between", BETWEEN)
def test_they_are_found_whatever_stands_between(between: bytes, trust: bool, tmp_path: Path) -> None:
    held = mapping((b")" + (b"\x85" + between) * 20_000, b"N"))
    file = archive(tmp_path / "x.pt", held)
    with pytest.raises(WeightsError, match="tuples inside one another"):
        read_pickled(file, "weights", trust=trust)
    header = b"".join(pickle.dumps(one, 2) for one in (0x1950A86A20F9469CFC6C, 1001, {}))
    file.write_bytes(header + b"\x80\x02" + held + b"." + pickle.dumps([], 2))  # as torch wrote before it zipped
    with pytest.raises(WeightsError, match="tuples inside one another"):
        read_pickled(file, "weights", trust=trust)


def test_many_tuples_are_not_deep(tmp_path: Path) -> None:
    file = save({str(n): (n, (n,)) for n in range(DEEPEST)}, tmp_path / "x.pt")
    assert len(read_pickled(file, "weights")) == DEEPEST
