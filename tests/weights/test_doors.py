"""Files of strangers come in through one door, and nothing that they bring is run: by sources and real files."""

from __future__ import annotations

import ast
import io
import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.package import PackageExporter

from regionloss.errors import WeightsError
from regionloss.weights import load_state_dict
from regionloss.weights.convert import convert

ROOT = Path(__file__).parents[2]
FOLDERS = ["regionloss", "insighttok_ref", "benchmarks", "examples", "docs", *(ROOT / "plugins").glob("*/src")]
#: What runs, or may run, what a file holds.
UNSAFE = re.compile(
    r"(torch|jit|hub|export|np|numpy|joblib|torchvision)\.load(_state_dict_from_url)?|\w*[pP]ickle\.(loads?|Unpickler)|"
    r"(dill|marshal|shelve)\.\w+|yaml\.(\w+_)?load(_all)?|.*\bload_checkpoint|.*\bread_pickle|.*\bPackageImporter|"
    r"(weights_only=False|allow_pickle=True)"
)
ALLOWED = {
    "regionloss/weights/pickles.py": {"torch.load", "weights_only=False"},  # the door
    "regionloss/weights/inert.py": {"pickle.Unpickler"},  # knows nothing that could be run
    "regionloss/data/batches/loader.py": {"pickle.loads"},  # between processes of one run
    "regionloss/evaluation/parts.py": {"np.load"},  # without pickles
    "regionloss/evaluation/judges.py": {"yaml.safe_load"},
    "insighttok_ref/tokens/files.py": {"np.load"},  # without pickles
    "regionloss/regions/access.py": {"torch.load"},  # weights_only
}


def unsafe(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            texts = [ast.unparse(node)]
        elif isinstance(node, ast.ImportFrom):
            texts = [f"{(node.module or '').rpartition('.')[2]}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.keyword):
            texts = [f"{node.arg}={ast.unparse(node.value)}"]
        else:
            continue
        yield from (text for text in texts if UNSAFE.fullmatch(text) or UNSAFE.fullmatch(text.split(".", 1)[-1]))


def test_no_other_file_reads_what_could_run() -> None:
    for line in ("torch.jit.load(f)", "from torch import load", "np.load(f, allow_pickle=True)", "yaml.load(f)"):
        assert list(unsafe(line)), line  # the reader reads
    found = {
        path.relative_to(ROOT).as_posix(): calls
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if (calls := set(unsafe(path.read_text(encoding="utf-8"))))
    }
    assert found == ALLOWED


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


class Program(nn.Module):
    """A network with a `__setstate__` that writes a file, in TorchScript."""

    def __init__(self, trace: Path) -> None:
        super().__init__()
        self.trace, self.weight = str(trace), nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight

    @torch.jit.export
    def __getstate__(self) -> tuple[str, Tensor, bool]:
        return self.trace, self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, Tensor, bool]) -> None:
        self.trace, self.weight, self.training = state[0], state[1], state[2]
        torch.save(state[1], state[0])


def pickled(file: Path, trace: Path) -> None:
    torch.save({"state_dict": {"w": torch.ones(2)}, "hook": Hostile(trace)}, file)


def legacy(file: Path, trace: Path) -> None:
    held = {"state_dict": {"w": torch.ones(2)}, "hook": Hostile(trace)}
    torch.save(held, file, _use_new_zipfile_serialization=False)


def script(file: Path, trace: Path) -> None:
    torch.jit.script(Program(trace)).save(str(file))


def renamed(file: Path, trace: Path, top: str = "weights of mine") -> None:
    """A TorchScript archive under another folder of the archive, with what a checkpoint has."""
    script(file.with_suffix(".tmp"), trace)
    with zipfile.ZipFile(file.with_suffix(".tmp")) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            new.writestr(f"{top}/{name.partition('/')[2]}", old.read(name))


def exported(file: Path, trace: Path) -> None:
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),)), file.with_suffix(".pt2"))
    file.with_suffix(".pt2").rename(file)


def packaged(file: Path, trace: Path) -> None:
    with PackageExporter(file) as package:
        package.save_pickle("model", "model.pkl", {"w": torch.ones(1)})


def tarred(file: Path, trace: Path) -> None:
    """As torch wrote before 0.2, with a first name that looks like the start of a pickle."""
    with tarfile.open(file, "w") as out:
        for name in ("\udc80", "storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            info.size = 1
            out.addfile(info, io.BytesIO(b"x"))


PROGRAMS = [script, renamed, exported, packaged, tarred]
Write = Callable[[Path, Path], None]


@pytest.mark.filterwarnings("ignore:.*torch.(jit|package|export)")
@pytest.mark.filterwarnings("ignore:.*is deprecated")
@pytest.mark.parametrize("write", PROGRAMS)
def test_programs_are_refused_by_content(write: Write, tmp_path: Path) -> None:
    file, trace = tmp_path / "x.bin", tmp_path / "ran"
    write(file, trace)
    trace.unlink(missing_ok=True)
    for read in (load_state_dict, convert):
        with pytest.raises(
            WeightsError, match=r"expected (weights|a checkpoint), got (a program|an? \w+ program|a tar)"
        ):
            read(file)
    assert not trace.exists()


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_such_a_program_would_have_run(tmp_path: Path) -> None:
    script(tmp_path / "x.pt", tmp_path / "ran")
    (tmp_path / "ran").unlink(missing_ok=True)
    torch.jit.load(tmp_path / "x.pt")
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("write", [pickled, legacy])
def test_pickles_are_read_without_running_them(write: Write, tmp_path: Path) -> None:
    file, trace = tmp_path / "x.pt", tmp_path / "ran"
    write(file, trace)
    with pytest.raises(WeightsError, match="expected tensors only, got other objects among them"):
        load_state_dict(file)
    assert load_state_dict(convert(file).path)["w"].tolist() == [1, 1]
    assert not trace.exists()
    torch.load(file, weights_only=False)  # the file is as hostile as it claims to be
    assert trace.exists()


def test_a_pickle_changes_nothing_of_torch(tmp_path: Path) -> None:
    """A pickle may set attributes of what it is given, here the defaults of a function of torch's."""
    build = b"(N}X\x0c\x00\x00\x00__defaults__(K\x01tstb."
    with zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_STORED) as out:
        out.writestr("x/data.pkl", b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + build)
        out.writestr("x/version", "3\n")
    before = torch._utils._rebuild_tensor_v2.__defaults__
    with pytest.raises(WeightsError, match="expected tensors by name, got none"):
        convert(tmp_path / "x.pt")
    assert torch._utils._rebuild_tensor_v2.__defaults__ == before
