"""Files that are no bundles, or hold less than they claim: sentences, and nothing in the cache."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from regionloss.errors import WeightsError
from regionloss.hooks.records import WeightRecord
from regionloss.weights.bundles import import_bundle
from regionloss.weights.cache import origin_of

Record = Callable[..., WeightRecord]


def test_what_is_no_bundle(tmp_path: Path) -> None:
    wanted = "expected a folder or a '.tar' of 'regionloss weights export'"
    with pytest.raises(WeightsError, match=rf"{wanted}, got nothing\."):
        import_bundle(tmp_path / "x.tar")
    (tmp_path / "x.tar").write_bytes(b"no tar")
    with pytest.raises(WeightsError, match=rf"{wanted}, got another file, or a part of one"):
        import_bundle(tmp_path / "x.tar")
    with pytest.raises(WeightsError, match=r"expected a file 'manifest\.json', got none\."):
        import_bundle(tmp_path)
    (tmp_path / "manifest.json").write_text('{"version": 2, "files": []}')
    with pytest.raises(WeightsError, match=r"expected version 1, got 2\. Update regionloss\."):
        import_bundle(tmp_path)
    (tmp_path / "manifest.json").write_text('{"version": 1, "files": [{"nonsense": 1}]}')
    with pytest.raises(WeightsError, match=r"its manifest\.json cannot be read \(.*\)\. Export it again\."):
        import_bundle(tmp_path)
    (tmp_path / "manifest.json").write_text('{"version": 1, "files": []}')
    with pytest.raises(WeightsError, match=r"its manifest\.json cannot be read \(it lists no files\)\."):
        import_bundle(tmp_path)


def odd_tar(kind: str, manifest: bytes) -> bytes:
    """A bundle whose file `a.pt` claims another size than it has, or is packed."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz" if kind == "packed" else "w", format=tarfile.PAX_FORMAT) as out:
        for name, content in (("manifest.json", manifest), ("a.pt", b"x" * 600)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if (kind, name) == ("sparse", "a.pt"):  # four gigabytes of nothing, then what is there
                info.pax_headers = {
                    **{"GNU.sparse.map": f"{2**32},600", "GNU.sparse.size": str(2**32 + 600)},
                    **{"GNU.sparse.name": name, "GNU.sparse.numblocks": "1"},
                }
            out.addfile(info, io.BytesIO(content))
    if kind in ("packed", "sparse"):
        return held.getvalue()
    before = held.getvalue()[: 512 + 1024]
    if kind == "cut":
        return before + held.getvalue()[len(before) :][:700]
    info = tarfile.TarInfo("a.pt")
    info.size = int(kind)
    return before + info.tobuf(tarfile.GNU_FORMAT) + b"x" * 600


@pytest.mark.parametrize("kind", ["packed", "sparse", "cut", str(2**40), str(2**62), str(2**63)])
def test_a_tar_that_holds_less_than_it_claims_is_a_sentence(
    kind: str, tmp_path: Path, cache: Path, record: Record
) -> None:
    line = {"name": "tiny/a", "filename": "a.pt", "sha256": "", "size": 1, "licence": "", "source": ""}
    manifest = json.dumps({"version": 1, "files": [line]}).encode()
    (tmp_path / "x.tar").write_bytes(odd_tar(kind, manifest.ljust(1024)))
    sentence = "expected a file 'a.pt', got none" if kind == "sparse" else "got another file, or a part of one"
    with pytest.raises(WeightsError, match=sentence):
        import_bundle(tmp_path / "x.tar", [record(sha256="")], ["tiny/a"])
    assert not [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "header", [b'{"__metadata__":3}', b'{"__metadata__":[]}', b"[]", b"null", b"[" * 100_000, b'"\xff'], ids=range(6)
)
def test_odd_headers_of_safetensors_name_no_origin(tmp_path: Path, header: bytes) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    assert origin_of(file) == ""
