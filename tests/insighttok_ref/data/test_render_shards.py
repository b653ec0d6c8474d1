"""`regionloss data render`: what is on disk is what the renderer drew, and trains like any other shard."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tarfile
import time
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from insighttok_ref.cli.data import app
from insighttok_ref.data import fonts
from insighttok_ref.data.build import build_training_data
from insighttok_ref.data.options import DataOptions
from insighttok_ref.data.render_shards import Rendering, render_shards
from regionloss.data.images.files import to_image
from regionloss.data.sidecars.lookup import Sidecars
from regionloss.data.words.render import TextStyle
from regionloss.errors import InputError, PluginError
from regionloss.hooks.catalogue import catalogue

STYLE = TextStyle(font_sizes=(9, 16), paragraphs=0.5)


def render(out: Path, count: int = 7, **options: object) -> list[Path]:
    return render_shards(Rendering(96, STYLE, 5), out, count, shard_size=3, **options)


def test_shards_hold_what_the_source_draws(tmp_path: Path) -> None:
    paths = render(tmp_path)
    assert [path.name for path in paths] == ["00000.tar", "00001.tar", "00002.tar"]
    source, sidecars = Rendering(96, STYLE, 5).source(), Sidecars(str(tmp_path))
    for number in range(7):
        path = paths[number // 3]
        with tarfile.open(path) as archive:
            image = Image.open(archive.extractfile(f"{number:08d}.png")).convert("RGB")
        sample = source.sample(number)
        assert np.array_equal(np.asarray(image), np.asarray(to_image(sample.image)))
        found = sidecars(str(path), f"{number:08d}", (96, 96)).regions["text"]
        assert torch.allclose(found.boxes, sample.regions["text"].boxes, atol=1e-4)
        assert found.texts == (sample.regions["text"].texts or None)


def test_workers_and_a_second_call_change_nothing(tmp_path: Path) -> None:
    here, there = render(tmp_path / "a"), render(tmp_path / "b", workers=2)
    assert [path.read_bytes() for path in here] == [path.read_bytes() for path in there]
    here[1].unlink()
    stamp = here[0].stat().st_mtime_ns
    render(tmp_path / "a")
    assert here[1].read_bytes() == there[1].read_bytes()
    assert here[0].stat().st_mtime_ns == stamp


def test_captions_say_what_is_drawn(tmp_path: Path) -> None:
    paths = render(tmp_path, caption="text that reads: {words}")
    source = Rendering(96, STYLE, 5).source()
    for number in range(7):
        with tarfile.open(paths[number // 3]) as archive:
            said = archive.extractfile(f"{number:08d}.txt").read().decode()
        assert said == f"text that reads: {' '.join(source.sample(number).regions['text'].texts)}"
    stamp = paths[0].stat().st_mtime_ns
    render(tmp_path, caption="text that reads: {words}")
    assert paths[0].stat().st_mtime_ns == stamp
    with pytest.raises(InputError, match="differ in caption"):
        render(tmp_path)


def test_a_folder_of_other_images_is_left_alone(tmp_path: Path) -> None:
    render(tmp_path)
    with pytest.raises(InputError, match="images that differ in seed"):
        render_shards(Rendering(96, STYLE, 6), tmp_path, 7, shard_size=3)


def small(out: Path, count: int, **options: object) -> list[Path]:
    return render_shards(
        Rendering(32, TextStyle(font_sizes=(9, 11)), 5, plain=1.0), out, count, shard_size=10, **options
    )


def lengths(paths: list[Path]) -> list[int]:
    found = []
    for path in paths:
        with tarfile.open(path) as archive:
            found.append(len(archive.getnames()))
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_more_images_are_added_until_all_that_were_asked_for_are_there(tmp_path: Path) -> None:
    few = small(tmp_path / "grown", 15)
    assert lengths(few) == [10, 5]
    stamp = few[0].stat().st_mtime_ns
    told: list[int] = []
    grown = small(tmp_path / "grown", 30, tick=told.append)
    assert told == [10, 10, 10]
    assert lengths(grown) == [10, 10, 10]
    assert grown[0].stat().st_mtime_ns == stamp
    small(tmp_path / "at once", 30)
    assert contents(tmp_path / "grown") == contents(tmp_path / "at once")


def test_fewer_images_than_are_there_are_refused(tmp_path: Path) -> None:
    small(tmp_path, 12)
    before = contents(tmp_path)
    with pytest.raises(InputError, match="expected 11 images at most, got 12 asked before"):
        small(tmp_path, 11)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("damage", ["cut", "empty", "side-car gone", "side-car of others", "side-car cut"])
def test_a_shard_that_is_not_whole_is_drawn_again(tmp_path: Path, damage: str) -> None:
    first, second = small(tmp_path, 20)
    before, sidecar = contents(tmp_path), second.with_name("00001.regions.parquet")
    if damage == "side-car gone":
        sidecar.unlink()
    elif damage == "side-car of others":
        sidecar.write_bytes(first.with_name("00000.regions.parquet").read_bytes())
    else:
        broken = sidecar if damage == "side-car cut" else second
        broken.write_bytes(b"" if damage == "empty" else broken.read_bytes()[: broken.stat().st_size // 2])
    small(tmp_path, 20)
    assert contents(tmp_path) == before


def test_killed_and_drawn_again_it_is_what_an_unbroken_run_draws(tmp_path: Path) -> None:
    line = f"data render --seed 5 --count 48 --shard-size 4 --size 128 --plain 1 --out {tmp_path / 'killed'}"
    command = [sys.executable, "-m", "regionloss", *line.split()]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while len(list(tmp_path.glob("killed/*.tar"))) < 3:
        assert run.poll() is None, run.communicate()[1]
        time.sleep(0.005)
    time.sleep(random.random() * 0.05)
    run.kill()
    run.communicate()
    left = len(list(tmp_path.glob("killed/*.tar")))
    assert 3 <= left < 12
    for name in ("killed", "whole"):
        arguments = [*line.split()[1:-1], str(tmp_path / name)]
        assert CliRunner().invoke(app, arguments, catch_exceptions=False).exit_code == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert len(contents(tmp_path / "whole")) == 2 * 12 + 1


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"count": "x"}'])
def test_broken_options_beside_images_are_a_sentence(tmp_path: Path, broken: str) -> None:
    (tmp_path / "render.json").write_text(broken)
    result = CliRunner().invoke(app, ["render", "--out", str(tmp_path), "--count", "1"])
    assert result.exit_code == 2
    assert "render.json: expected what was drawn here, as JSON, got a broken file" in result.output
    assert (tmp_path / "render.json").read_text() == broken


def test_shards_of_something_else_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "00000.tar").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"a folder for these images, got shards and no render\.json"):
        small(tmp_path, 1)
    assert contents(tmp_path) == {"00000.tar": b"mine"}


def test_what_cannot_be_drawn_leaves_no_mark_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a text file, one word a line"):
        render_shards(Rendering(32, words=tmp_path / "none.txt"), tmp_path / "out", 1)
    assert not (tmp_path / "out").exists()


def test_words_that_no_font_has_are_said_by_the_command_and_a_recipe_s_data(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes("harbour 日本 سلام".encode("utf-8-sig"))
    arguments = ["render", "--out", str(tmp_path / "out"), "--count", "2", "--words", str(tmp_path / "words.txt")]
    result = CliRunner().invoke(app, [*arguments, "--plain", "1", "--size", "64"], catch_exceptions=False)
    assert result.exit_code == 0
    said = "words: 1 of 3 are left out: no font has all their letters ('日本')."
    assert said in result.output
    source = {"render": TextStyle(), "words": str(tmp_path / "words.txt")}
    notes = build_training_data(DataOptions(image_size=64, workers=0, sources={"drawn": source})).notes
    assert f"data.sources.drawn: {said}" in notes
    assert list(Rendering(words=tmp_path / "words.txt").source().renderer.words) == ["harbour"]


@pytest.mark.parametrize(
    ("language", "read"), [("japanese", 18), ("chinese_simplified", 17), ("french", 18), ("korean", 0)]
)
@pytest.mark.weights
def test_words_of_other_scripts_are_drawn_so_that_a_reader_reads_them(language: str, read: int) -> None:
    """All of them by a reader of these scripts (PP-OCRv6's characters have no Hangul)."""
    source = Rendering(160, TextStyle(font_sizes=(26, 30), words=(1, 2)), words=Path(language), plain=1.0).source()
    samples = [source.sample(number) for number in range(16)]
    known = {unicodedata.normalize("NFC", word) for word in fonts.words(language)}
    drawn = [word for sample in samples for word in sample.regions["text"].texts]
    assert sum(word.lower() in known or word.isdecimal() for word in drawn) == len(drawn) >= 20
    judge = catalogue().build("judge", "text/ppocr-v6", {})
    found = [one.text for sample in samples for one in judge.judge(sample.image[None], sample.regions["text"])]
    hits = sum(one == other for one, other in zip(found, drawn, strict=True))
    assert hits >= read
    if not read:
        assert hits == sum(word.isdecimal() for word in drawn)


def test_a_language_without_its_glyphs_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "EASTERN_FONTS", (replace(fonts.EASTERN_FONTS[0], package="not_installed"),))
    with pytest.raises(PluginError, match=r"not-installed: .* pip install 'regionloss\[scripts\]'"):
        Rendering(words=Path("korean")).source()
    with pytest.raises(InputError, match="a text file, one word a line, or one of english, french"):
        Rendering(words=Path("klingon")).source()


def test_links_to_folders_of_fonts_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "A.TTF").write_bytes(b"")
    (tmp_path / "fonts").mkdir()
    (tmp_path / "fonts" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "fonts" / "self").symlink_to(tmp_path / "fonts")
    assert Rendering(fonts=tmp_path / "fonts").font_files() == [tmp_path / "fonts" / "linked" / "A.TTF"]


def test_the_command_and_a_recipe_that_reads_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path / "home"))
    arguments = f"render --out {tmp_path / 'x'} --count 6 --size 64 --font-sizes 9 14 --shard-size 4 --sheet"
    result = CliRunner().invoke(app, [*arguments.split(), str(tmp_path / "sheet.png")], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "6 images in 2 shards" in result.output
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (192, 128)
    sources = {"words": {"images": str(tmp_path / "x" / "*.tar"), "regions": str(tmp_path / "x")}}
    options = DataOptions(image_size=64, workers=0, sources=sources, augment={"crop": "center"})
    batch = next(build_training_data(options).batches(None, seed=0, batch_size=6).starting_at(0))
    assert len(set(batch.sources)) == 6
    assert len(batch.regions["text"]) >= 5
    assert batch.regions["text"].texts is not None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--fonts", "{home}"], "font files"),
        (["--words", "{home}/none.txt"], "a text file, one word a line"),
        (["--grounds", "{home}/nowhere"], "a folder of images"),
        (["--font-sizes", "20", "10"], "font_sizes"),
        (["--sheet", "sheet.xyz"], "a picture such as"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(tmp_path: Path, given: list[str], sentence: str) -> None:
    arguments = ["render", "--out", str(tmp_path / "out"), "--count", "1"]
    result = CliRunner().invoke(app, [*arguments, *(part.format(home=tmp_path) for part in given)])
    assert result.exit_code == 2
    assert sentence in result.output
    assert "Traceback" not in result.output


def test_a_primer_has_one_word_of_the_asked_length_in_each_image(tmp_path: Path) -> None:
    plain = Rendering(48, TextStyle(font_sizes=(18, 18)), primer=True, letters=(3, 4))
    render_shards(plain, tmp_path / "images", 12, caption="{words}")
    with tarfile.open(tmp_path / "images" / "00000.tar") as archive:
        captions = [archive.extractfile(name).read().decode() for name in archive.getnames() if name.endswith(".txt")]
        pictures = [Image.open(archive.extractfile(name)) for name in archive.getnames() if name.endswith(".png")]
        corners = [picture.convert("RGB").getpixel((0, 0)) for picture in pictures]
    assert {len(caption) for caption in captions} == {3, 4}
    assert corners == [(255, 255, 255)] * 12
    with pytest.raises(InputError, match="words: expected some of 40 to 50 letters"):
        Rendering(letters=(40, 50)).word_list()


def test_a_folder_that_says_nothing_of_primers_goes_on_as_it_was(tmp_path: Path) -> None:
    render(tmp_path, 3)
    options = json.loads((tmp_path / "render.json").read_text())
    del options["primer"], options["letters"]
    (tmp_path / "render.json").write_text(json.dumps(options))
    render(tmp_path, 6)
    with pytest.raises(InputError, match="images that differ in primer"):
        render_shards(Rendering(96, STYLE, 5, primer=True), tmp_path, 7, shard_size=3)


def test_what_a_primer_does_not_have_is_refused(tmp_path: Path) -> None:
    said = ["--out", str(tmp_path / "words"), "--primer", "--font-sizes", "18", "18", "--size", "48", "--count", "2"]
    assert CliRunner().invoke(app, ["render", *said]).exit_code == 0
    found = CliRunner().invoke(app, ["render", *said, "--words-per-image", "1", "1"])
    assert "--primer: expected plain words alone, one an image, got --words-per-image beside it" in found.output
    assert found.exit_code
