"""Shards of tokens as files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest

from insighttok_ref.tokens.files import TokenFile, TokenHeader, ids_path, read_tokens, write_tokens
from insighttok_ref.tokens.shards import TokenShards
from regionloss.errors import InputError

HEADER = TokenHeader("0123456789abcdef" * 4, 500, (2, 3), 32)


def file(header: TokenHeader = HEADER, images: int = 4, begin: int = 0) -> TokenFile:
    ids = np.random.RandomState(begin).randint(0, header.codes, (images, header.tokens))
    keys = [f"{begin + number:05d}" for number in range(images)]
    return TokenFile(header, keys, [f"caption {key}, é" for key in keys], ids.astype(header.dtype))


@pytest.mark.parametrize(("codes", "bytes_each"), [(500, 2), (65_536, 2), (65_537, 4)])
def test_ids_take_two_bytes_as_long_as_they_fit(tmp_path: Path, codes: int, bytes_each: int) -> None:
    path, written = str(tmp_path / "0.tokens.parquet"), file(replace(HEADER, codes=codes, grid=(32, 32)), 16)
    written.ids[0, 0] = codes - 1
    write_tokens(path, written)
    found = read_tokens(path)
    assert found.header == written.header
    assert (found.keys, found.captions) == (written.keys, written.captions)
    assert np.array_equal(found.ids, written.ids)
    assert isinstance(found.ids, np.memmap)
    assert (tmp_path / "0.tokens.npy").stat().st_size == 128 + 16 * 1024 * bytes_each


def test_tokens_in_a_store_are_read_alike() -> None:
    write_tokens("memory://tokens/0.tokens.parquet", file())
    shards = TokenShards("memory://tokens")
    assert np.array_equal(shards[3].ids.numpy(), file().ids[3])
    fsspec.filesystem("memory").rm("/tokens", recursive=True)


def test_shards_are_one_sequence(tmp_path: Path) -> None:
    parts = [file(images=count, begin=10 * number) for number, count in enumerate((3, 0, 2))]
    for number, part in enumerate(parts):
        write_tokens(str(tmp_path / f"{number}.tokens.parquet"), part)
    shards = TokenShards(str(tmp_path), HEADER.tokenizer, captions=True)
    assert len(shards) == 5
    assert [row.key for row in shards] == ["00000", "00001", "00002", "00020", "00021"]
    assert shards[4].caption == "caption 00021, é"
    assert np.array_equal(shards[4].ids.numpy(), parts[2].ids[1])


def test_tokens_of_another_tokenizer_are_refused_by_name(tmp_path: Path) -> None:
    write_tokens(str(tmp_path / "0.tokens.parquet"), file())
    with pytest.raises(InputError) as error:
        TokenShards(str(tmp_path), "f" * 64)
    assert str(error.value) == (
        f"{tmp_path}/0.tokens.parquet: expected tokens of the tokenizer ffffffffffff, got those of the tokenizer "
        "0123456789ab. Ids of one mean other pictures to the other."
    )
    write_tokens(str(tmp_path / "1.tokens.parquet"), file(replace(HEADER, grid=(3, 3))))
    with pytest.raises(InputError, match=r"1.tokens.parquet: expected tokens as those of .*2 x 3 ids.*, got .*3 x 3"):
        TokenShards(str(tmp_path))


def test_damage_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "0.tokens.parquet"

    def refused(sentence: str) -> None:
        with pytest.raises(InputError, match=sentence):
            TokenShards(str(tmp_path), captions=True)[0]
        write_tokens(str(path), file())

    refused(r"expected tokens of images, files \*.tokens.parquet, got none. Write them with 'regionloss tokenize'.")
    ids = Path(ids_path(str(path)))
    whole = ids.read_bytes()
    for length in (0, 60, len(whole) - 1):
        ids.write_bytes(whole[:length])
        refused(r"0.tokens.npy: expected tokens of images, got a file that cannot be read \(")
    ids.unlink()
    refused(r"0.tokens.npy: expected tokens of images, got a file that cannot be read \(no such file\)")
    for length in (0, 200, path.stat().st_size - 9):
        path.write_bytes(path.read_bytes()[:length])
        refused(r"0.tokens.parquet: expected tokens of images, got a file that cannot be read \(")
    np.save(ids, np.zeros((3, 6), "<u2"))
    refused(r"0.tokens.npy: expected 4 x 6 ids as uint16, got 3 x 6 as uint16")
    np.save(ids, np.full((4, 6), 500, "<u2"))
    refused(r"0.tokens.parquet, '00000': expected ids below 500, got 500")
    write_tokens(str(path), file()._replace(captions=["a", None, "b", None]))
    refused(r"expected a caption for each image, got none for 2 of 4, such as '00001'. Put KEY.txt beside the images")
