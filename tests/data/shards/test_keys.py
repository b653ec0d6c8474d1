"""Keys of images whose names have dots: which dot they reach to, which images hide others, and accents."""

from __future__ import annotations

import pytest

from regionloss.data.shards.keys import FIRST, LAST, key_of, normal, rule_of

SIDES, SEVEN = ("left", "right"), range(7)
#: Names of people's files, in which what follows the first dot is no suffix.
WHOLE = {
    "dicom": [f"1.2.840.113619.2.55.{n}.jpg" for n in range(500)],
    "two of dicom": [f"{root}.840.{n}.jpg" for root in ("1.2", "2.16") for n in SEVEN],
    "tracks": [f"Track {n}.{m} ({how}).jpg" for n in (1, 2) for m in (0, 5) for how in ("Clean", "Live")],
    "screenshots": [f"Screenshot from 2023-01-05 {h}.15.{s:02}.jpg" for h in (10, 11) for s in SEVEN],
    "initials": ["J. Smith 1.jpg", "J. Smith 2.jpg", "K. Smith 1.jpg", "K. Smith 2.jpg"],
    "titles": ["Dr.Strange.jpg", "Dr.Who.jpg", "Mr.Strange.jpg", "Mr.Who.jpg"],
    "hosts": [f"www.example.com-{n}.jpg" for n in SEVEN],
    "many of two hosts": [f"{host}.example.com-{n}.jpg" for host in ("www", "cdn") for n in range(30)],
    "versions": ["photo.v1.final.jpg", "photo.v2.final.jpg"],
    "cameras": [f"IMG.20230105.{101500 + n}.jpg" for n in SEVEN],
    "copies": ["IMG.jpg", *(f"IMG.{n}.jpg" for n in SEVEN)],
    "films": ["the.matrix.jpg", "the.dark.knight.jpg", "a.night.jpg"],
    "decimals": [f"t{n}.{m}_seed1.png" for n in (0, 1) for m in (5, 7)],
    "in folders": [f"{at}/1.5 {n}.jpg" for at in "ab" for n in SEVEN],
}
#: Names of WebDataset's samples: what follows the first dot says what a file is of its sample.
SAMPLES = {
    "masks": [f"{n}.{suffix}" for n in SEVEN for suffix in ("jpg", "mask.png")],
    "one mask": ["1.png", "1.mask.png", "2.png"],
    "sides": [f"s{n}.{side}.jpg" for n in SEVEN for side in SIDES],
    "sides of two": [f"s{n}.{side}.jpg" for n in (1, 2) for side in (*SIDES, "top")],
    "capitals": [f"{n}.{suffix}" for n in SEVEN for suffix in ("JPG", "Mask.PNG", "SEG.PNG")],
    "two words": [f"{n}.{suffix}" for n in SEVEN for suffix in ("jpg", "depth.near.png", "depth.far.png")],
    "nothing hidden": ["a.b.jpg", "c d.5.jpg", "1.2.3.png"],
    "two kinds of file": ["a.jpg", "a.png", "b 1.jpg"],
    "mostly masks": [*(f"{n}.{suffix}" for n in SEVEN for suffix in ("jpg", "seg.png")), "J. S 1.jpg", "J. S 2.jpg"],
}


@pytest.mark.parametrize("names", WHOLE.values(), ids=WHOLE)
def test_where_the_first_dot_begins_no_suffix_the_last_one_does(names: list[str]) -> None:
    assert rule_of(names) == rule_of(reversed(names)) == LAST
    assert len({key_of(name, LAST) for name in names}) == len(names)


@pytest.mark.parametrize("names", SAMPLES.values(), ids=SAMPLES)
def test_samples_of_several_files_have_webdatasets_keys(names: list[str]) -> None:
    assert rule_of(names) == rule_of(reversed(names)) == FIRST


def test_a_file_that_is_no_image_tells_a_sample() -> None:
    names = ["7.left.jpg", "7.right.jpg"]
    assert rule_of(names) == LAST
    assert rule_of(names, ["7.json"]) == rule_of(names, ["7.txt", "8.x.json"]) == FIRST


def test_keys_up_to_the_last_dot_are_paths_without_suffix() -> None:
    names = ["a.b/c.d.jpg", "./Track 1.0 (Clean).jpg", "x/.y.jpg"]
    assert [key_of(name, LAST) for name in names] == ["a.b/c.d", "Track 1.0 (Clean)", "x/.y"]


def test_accents_are_compared_as_one_character_unless_that_makes_two_keys_one() -> None:
    composed, apart = "caf\xe9", "cafe\u0301"
    assert normal([apart, "x"]) == [composed, "x"]
    assert normal([apart, composed]) == [apart, composed]


def test_images_with_files_of_their_own_up_to_the_last_dot_have_keys_up_to_there() -> None:
    names = [f"photo{n}.{city}.jpg" for n in range(3) for city in ("paris", "rome")]
    assert rule_of(names) == FIRST
    assert rule_of(names, [name.replace("jpg", "txt") for name in names]) == LAST
    masks = [f"{n}.{kind}" for n in range(3) for kind in ("jpg", "mask.png")]
    assert rule_of(masks, [name.replace("png", "json") for name in masks]) == FIRST
