"""Addresses: what signs them is in no name, no file and no sentence; braces stand for a bounded number of names."""

from __future__ import annotations

import pickle
from itertools import product
from pathlib import Path

import fsspec
import pytest

from regionloss.data.shards.addresses import Address, address, unsigned, whole
from regionloss.data.shards.paths import MOST_NAMES, expand, spelled_out
from regionloss.data.shards.shards import ShardSet, find_shards
from regionloss.data.shards.tar_index import index_folder, place, signature
from regionloss.data.sidecars.sidecar import sidecar_path
from regionloss.errors import InputError

SIGNED = {
    "https://bucket.s3.amazonaws.com/a/0.tar?X-Amz-Signature=5e7a&X-Amz-Expires=60": "https://bucket.s3.amazonaws.com/a/0.tar",
    "https://host/0.tar#part?x": "https://host/0.tar",
    "HTTPS://host/0.tar?sig": "HTTPS://host/0.tar",
    "s3://bucket/0.tar?versionId=7": "s3://bucket/0.tar",
    "simplecache::https://host/0.tar?sig=a": "simplecache::https://host/0.tar",
    "zip://0.tar::https://host/all.zip?sig=%3A": "zip://0.tar::https://host/all.zip",
}
PLAIN = [
    "0.tar?x=1",
    "what? no #1.tar",
    "s3://bucket/what?.tar",
    "s3://bucket/no#1.tar",
    "memory://a/0.tar",
    "C:\\a?b=c",
]


@pytest.mark.parametrize("given", SIGNED)
def test_an_address_is_shown_without_its_query_and_opened_with_it(given: str) -> None:
    (found,) = expand(given)
    assert (found, whole(found)) == (SIGNED[given], given)
    other = pickle.loads(pickle.dumps(found))
    assert (other, whole(other)) == (SIGNED[given], given)
    assert place(given, Path()) == place(found, Path()) == place(SIGNED[given], Path())
    assert unsigned(f"ClientError: 403, url='{given}'") == f"ClientError: 403, url='{SIGNED[given]}'"


@pytest.mark.parametrize("given", PLAIN)
def test_names_keep_their_question_marks(given: str) -> None:
    assert address(given) == whole(given) == unsigned(given) == given


def test_a_long_signature_is_in_no_name() -> None:
    given = f"https://bucket/0001.tar?X-Amz-Security-Token={'t' * 900}"
    assert sidecar_path("", given) == "https://bucket/0001.regions.parquet"
    assert sidecar_path("out", given) == "out/0001.regions.parquet"


def test_indices_and_sentences_know_nothing_of_a_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path))
    memory = fsspec.filesystem("memory")
    memory.pipe("/signed/0.tar?sig=SECRET1", b"no tar")
    shards = ShardSet(find_shards("memory://signed/{0..0}.tar?sig=SECRET1"))
    assert shards.problems == [
        "memory://signed/0.tar: cannot be read to its end (truncated header). 0 images before that are used."
    ]
    assert "SECRET" not in "".join(str(part) for part in signature("memory://signed/0.tar?sig=SECRET1"))
    assert "SECRET" not in next(index_folder().iterdir()).read_text()
    with pytest.raises(InputError, match=r"memory://signed/1\.tar: expected a tar file .* got nothing there") as error:
        ShardSet(find_shards("memory://signed/1.tar?sig=SECRET1"))
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize("pattern", ["{000..999}-{000..999}-{000..999}.tar", "{0..99}" * 2000, "{a,{0..999}}" * 3])
def test_braces_that_stand_for_too_many_names_are_refused_before_they_are_spelled_out(pattern: str) -> None:
    with pytest.raises(InputError, match=f"expected {MOST_NAMES:,} names at most, got more"):
        expand(pattern)


@pytest.mark.parametrize("pattern", ["{0..9999999}.tar", f"{{0..{'9' * 5000}}}"])
def test_a_range_of_too_many_numbers_is_refused(pattern: str) -> None:
    with pytest.raises(InputError, match=r"expected a range (such as )?\{"):
        expand(pattern)


def test_products_of_braces_are_in_order() -> None:
    names = [f"{a}/{b:02}/{c}.tar" for a, b, c in product("xy", range(30), "123")]
    assert spelled_out("{x,y}/{00..29}/{1..3}.tar") == names


@pytest.mark.parametrize(
    "pattern",
    [
        "::".join(f"{name}-{{00000..09999}}.tar" for name in "abc"),
        "a.tar::b.tar",
        "s3://x/{0..9}.tar::s3://y/{0..9}.tar",
        "https://host/0.tar?sig=SECRET::https://host/1.tar?sig=SECRET",
    ],
)
def test_shards_joined_as_webdataset_joins_them_are_refused_with_what_serves(pattern: str) -> None:
    with pytest.raises(InputError, match=r"expected one pattern, got several joined with '::'\. Give each as") as error:
        expand(pattern)
    assert "SECRET" not in str(error.value)


def test_chains_of_file_systems_are_no_joined_shards() -> None:
    for chain in ("simplecache::s3://x/0.tar", "tar://in.tar::s3://x/0.tar", "blockcache::https://h/0.tar?sig=1"):
        assert expand(chain) == [unsigned(chain)]
    assert isinstance(expand(chain)[0], Address)
