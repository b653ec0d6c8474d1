"""`regionloss data render`: what is on disk is what the renderer drew, and trains like any other shard."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from insighttok_ref.cli.data import app
from insighttok_ref.data.building import build_training_data
from insighttok_ref.data.options import DataOptions
from insighttok_ref.data.render import Rendering, render_shards
from regionloss.data.images import to_image
from regionloss.data.joining import Sidecars
from regionloss.data.rendering import TextStyle
from regionloss.errors import InputError

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


def test_a_folder_of_other_images_is_left_alone(tmp_path: Path) -> None:
    render(tmp_path)
    with pytest.raises(InputError, match="images that differ in seed"):
        render_shards(Rendering(96, STYLE, 6), tmp_path, 7, shard_size=3)


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
