"""A cache of its own, and real package indexes on this machine: a folder of wheels for pip, a server for npm."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import itertools
import json
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from regionloss.hooks.records import WeightRecord

CONTENT = {"a.pt": b"weights a" * 1000, "b.pt": b"weights b" * 2000, "c.bin": b"weights c" * 3000}
Record = Callable[..., WeightRecord]
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of cached weight files, empty and not made yet."""
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "weights"


@pytest.fixture
def content() -> dict[str, bytes]:
    """The weight files that the packages here hold."""
    return CONTENT


@pytest.fixture
def record() -> Record:
    """A function that makes the record of one of the files above; anything may be said otherwise."""

    def make(file: str = "a.pt", **other: object) -> WeightRecord:
        content = CONTENT[file]
        values: dict[str, object] = {
            "name": file.split(".")[0],
            "plugin": "tiny",
            "distribution": "tiny",
            "version": "1",
            "filename": file,
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "source": f"pip:tiny-weights==1.0:tiny_weights/data/{file}",
            "licence": "not stated",
            "summary": "a tiny file",
        }
        return WeightRecord(**{**values, **other})  # type: ignore[arg-type]

    return make


def tar_of(files: dict[str, bytes], path: Path, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tarred:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tarred.addfile(info, io.BytesIO(content))
    return path


METADATA = """Metadata-Version: 2.1
Name: {name}
Version: 1.0
Requires-Python: <3.0
Requires-Dist: torch<2.3
"""

# A build backend that needs nothing, so that a source archive is prepared without an index.
BACKEND = """
import pathlib
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = pathlib.Path(folder, "source_weights-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: source-weights\\nVersion: 1.0\\n")
    return info.name
"""


@pytest.fixture
def pip_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the real pip reads instead of an index: a wheel with stale pins, and a source archive."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny_weights-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in CONTENT.items():
            wheel.writestr(f"tiny_weights/data/{name}", content)
        wheel.writestr("tiny_weights/__init__.py", "raise RuntimeError('imported')\n")
        wheel.writestr("tiny_weights-1.0.dist-info/METADATA", METADATA.format(name="tiny-weights"))
        wheel.writestr("tiny_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    root = "source_weights-1.0"
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    tar_of(
        {
            f"{root}/PKG-INFO": b"Metadata-Version: 2.1\nName: source-weights\nVersion: 1.0\n",
            f"{root}/pyproject.toml": build.encode(),
            f"{root}/backend.py": BACKEND.encode(),
            f"{root}/source_weights/data/c.bin": CONTENT["c.bin"],
        },
        folder / f"{root}.tar.gz",
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, bytes]], str]]:
    """A function that serves files on this machine and returns their address."""
    servers = []

    def start(files: dict[str, bytes]) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = files.get(self.path)
                self.send_response(200 if found is not None else 404)
                self.send_header("Content-Length", str(len(found or b"")))
                self.end_headers()
                self.wfile.write(found or b"")

            def log_message(self, *args: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def npm_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[[dict[str, bytes]], str]) -> None:
    """A registry that the real npm reads: one package."""
    about = '{"name": "@tiny/weights", "version": "1.0.0"}'
    files = {"package/package.json": about.encode(), "package/models/c.bin": CONTENT["c.bin"]}
    tarball = tar_of(files, tmp_path / "package.tgz").read_bytes()
    served: dict[str, bytes] = {"/weights.tgz": tarball}
    address = serve(served)
    digest = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    dist = {"tarball": f"{address}/weights.tgz", "integrity": f"sha512-{digest}"}
    version = {"name": "@tiny/weights", "version": "1.0.0", "dist": dist}
    listing = {"name": "@tiny/weights", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    served["/@tiny%2fweights"] = json.dumps(listing).encode()
    for name, value in (("registry", address), ("cache", str(tmp_path / "npm")), ("noproxy", "127.0.0.1")):
        monkeypatch.setenv(f"npm_config_{name}", value)
    monkeypatch.setenv("npm_config_fetch_retries", "0")


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that installs a plugin (for this test) which registers these records."""

    def install(*records: WeightRecord) -> None:
        name = f"tiny{next(_numbers)}"
        site = tmp_path / "site"
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[regionloss]\n{name} = {name}_plugin\n")
        rows = [{k: v for k, v in asdict(r).items() if k not in ("plugin", "distribution", "version")} for r in records]
        (site / f"{name}_plugin.py").write_text(
            "from regionloss.hooks import hookimpl\n\n\n@hookimpl\ndef register_weights(register):\n"
            f"    for row in {rows!r}:\n        register(row.pop('name'), **row)\n"
        )
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.setenv("REGIONLOSS_PLUGINS", name)
        # Those of core would be fetched, listed and exported, too.
        monkeypatch.delattr("regionloss.hooks.builtin.register_weights")

    return install
