"""A shard of tokens: ids in a NumPy file, and beside it keys, captions and a header in a Parquet file."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regionloss.data.shards import file_system, is_local, write_whole
from regionloss.errors import InputError, expected, reason_of

VERSION = 1
#: Of the index, which is written last: when it is there, the shard is done.
SUFFIX, IDS = ".tokens.parquet", ".tokens.npy"
HEADER = b"regionloss.tokens"
#: Most codes that 16 bits tell apart.
SHORT = 1 << 16
AGAIN = "Remove it, and run 'regionloss tokenize' again."

Ids = NDArray[np.uint16] | NDArray[np.uint32]


@dataclass(frozen=True)
class TokenHeader:
    """What a shard of tokens says of itself.

    Args:
        tokenizer: Fingerprint of the tokenizer.
        codes: Number K of its ids.
        grid: Rows and columns of an image's ids.
        size: Side of the square that was cut out of each image, pixels.
        shard: What tells that the shard of images has changed.
        unreadable: Images that could not be decoded: key -> why.
    """

    tokenizer: str
    codes: int
    grid: tuple[int, int]
    size: int
    shard: str = ""
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """The number n of ids of an image."""
        return prod(self.grid)

    @property
    def dtype(self) -> np.dtype[Any]:
        """How ids are kept."""
        return np.dtype("<u2" if self.codes <= SHORT else "<u4")

    @property
    def made_by(self) -> tuple[str, int, tuple[int, int], int]:
        """What all shards of a folder have in common."""
        return self.tokenizer, self.codes, self.grid, self.size


class TokenFile(NamedTuple):
    """A shard of tokens: m images with their keys, captions (None where there is none) and ids (m, n)."""

    header: TokenHeader
    keys: Sequence[str]
    captions: Sequence[str | None]
    ids: Ids


def ids_path(index: str) -> str:
    """Return where the ids of an index lie."""
    return index.removesuffix(SUFFIX) + IDS


def write_tokens(path: str, file: TokenFile) -> None:
    """Write a shard of tokens: the ids, then the index, each whole or not at all.

    Args:
        path: Path or address of the index.
        file: Its contents.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    contents = io.BytesIO()
    np.save(contents, np.ascontiguousarray(file.ids, file.header.dtype).reshape(-1, file.header.tokens))
    write_whole(ids_path(path), contents.getvalue())
    told = json.dumps({"version": VERSION, **asdict(file.header)})
    columns = {"key": pa.array(file.keys, pa.string()), "caption": pa.array(file.captions, pa.string())}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata({HEADER: told}), sink, write_page_checksum=True)
    write_whole(path, sink.getvalue())


def read_header(path: str) -> TokenHeader:
    """Read what a shard of tokens says of itself.

    Args:
        path: Path or address of the index.

    Raises:
        FileNotFoundError: There is none.
        InputError: It is damaged, or none of ours.
    """
    import pyarrow.parquet as pq

    system, inner = file_system(path)
    try:
        with system.open(inner, "rb") as stream:
            return header_in(path, pq.read_schema(stream).metadata or {})
    except (FileNotFoundError, InputError):
        raise
    except Exception as error:  # of a damaged file its reader raises what it likes
        raise damaged(path, error) from error


def header_in(path: str, metadata: dict[bytes, bytes]) -> TokenHeader:
    """Return the header in the metadata of an index; raises InputError."""
    if HEADER not in metadata:
        raise InputError(expected(path, "an index of tokens", "another Parquet file"))
    told = json.loads(metadata[HEADER])
    if told.pop("version") != VERSION:
        advice = "A newer regionloss has written it."
        raise InputError(expected(path, f"tokens of version {VERSION}", "another one", advice))
    rows, columns = told.pop("grid")
    return TokenHeader(grid=(rows, columns), **told)


def read_tokens(path: str) -> TokenFile:
    """Read a shard of tokens; ids on this machine's disk are mapped into memory, and read when they are asked for.

    Args:
        path: Path or address of the index.

    Raises:
        FileNotFoundError: There is none.
        InputError: It is damaged, cut off, or none of ours.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    header = read_header(path)
    system, inner = file_system(path)
    try:
        stream = pa.BufferReader(system.cat_file(inner))
        with pq.ParquetFile(stream, pre_buffer=False, page_checksum_verification=True) as opened:
            table = opened.read(["key", "caption"], use_threads=False)
    except Exception as error:  # of a damaged file its reader raises what it likes
        raise damaged(path, error) from error
    ids, wanted = read_ids(ids_path(path)), (len(table), header.tokens)
    if ids.shape != wanted or ids.dtype != header.dtype:
        what = f"{wanted[0]} x {wanted[1]} ids as {header.dtype}"
        got = f"{' x '.join(map(str, ids.shape))} as {ids.dtype}"
        raise InputError(expected(ids_path(path), what, got, AGAIN))
    return TokenFile(header, table["key"].to_pylist(), table["caption"].to_pylist(), ids)


def read_ids(path: str) -> Ids:
    """Return the array of a NumPy file."""
    system, inner = file_system(path)
    try:
        if is_local(path):
            return np.load(inner, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        return np.load(io.BytesIO(system.cat_file(inner)), allow_pickle=False)  # type: ignore[no-any-return]
    except Exception as error:  # a file that was cut off, a store that fails
        raise damaged(path, error) from error


def damaged(path: str, error: Exception) -> InputError:
    """Return the error of a file that cannot be read."""
    return InputError(expected(path, "tokens of images", f"a file that cannot be read ({reason_of(error)})", AGAIN))
