"""`regionloss reconstruct` and `regionloss checkpoint convert` as typed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from insighttok_ref.tokenizers.insighttok.checkpoints import load_tokenizer
from regionloss.cli.main import app
from tests.insighttok_ref.conftest import Golden


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def typed(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    return result.exit_code, result.output


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the golden model, two images and a broken one."""
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Golden("golden_a.npz").weights()}, "insight_tok.pt")
    (tmp_path / "photos").mkdir()
    for name, size in (("a.png", (40, 20)), ("a.jpg", (16, 32))):
        Image.effect_noise(size, 50).convert("RGB").save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "broken.png").write_bytes(b"none")
    return tmp_path


def test_images_are_drawn_and_saved_at_their_size(here: Path) -> None:
    code, said = typed("reconstruct", "photos", "--checkpoint", "insight_tok.pt", "--size", 32, "--save", "recs")
    assert code == 0, said
    assert "Skipped: photos/broken.png" in said
    assert size_of(Path("reconstructions.png"))[0] > 2 * 40
    assert {path.name: size_of(path) for path in Path("recs").iterdir()} == {
        "a.png": (16, 32),
        "a-2.png": (40, 20),
    }


def test_a_reconstruction_is_the_golden_one(here: Path) -> None:
    golden = Golden("golden_a.npz")
    pixels = (golden["x"][0] + 1).mul(127.5).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save("x.png")
    assert typed("checkpoint", "convert", "insight_tok.pt", "--from", "official", "--to", "ours")[0] == 0
    words = ("--checkpoint", "insight_tok-ours.safetensors", "--size", 64, "--save", "recs")
    assert typed("reconstruct", "x.png", *words)[0] == 0
    model = load_tokenizer(Path("insight_tok-ours.safetensors"))
    with torch.no_grad():
        torch.testing.assert_close(model(golden["x"]).reconstruction, golden["eval/rec"], atol=5e-5, rtol=0)
        # The golden input is not on the grid of 8 bits, the file's is: so the picture is compared with the model's.
        seen = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
        wanted = model(seen).reconstruction[0].clamp(-1, 1).add(1).mul(127.5).permute(1, 2, 0).numpy()
    assert np.abs(np.asarray(Image.open("recs/x.png"), float) - wanted).max() <= 1


def test_mistakes_are_sentences(here: Path) -> None:
    checkpoint = ("--checkpoint", "insight_tok.pt")
    for words, sentence in (
        (("photos", *checkpoint, "--size", 30), "--size: expected a multiple of 4, got 30"),
        (("photos/broken.png", *checkpoint), "expected at least one that can be read"),
        (("photos", *checkpoint, "--out", "photos/a.png"), "expected files that are none of the images"),
        (("photos", "--checkpoint", "photos"), "expected a tokenizer file, got a folder"),
        (("photos", *checkpoint, "--device", "abacus"), "--device: expected a device of this machine"),
    ):
        code, said = typed("reconstruct", *words)
        assert code in (1, 2), said
        assert sentence in said
    (here / "there.pt").write_text("mine")
    code, said = typed("checkpoint", "convert", "insight_tok.pt", "--to", "official", "--out", "there.pt")
    assert (code, (here / "there.pt").read_text()) == (2, "mine")
    assert "--force" in said
