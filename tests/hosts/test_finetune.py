"""The example that fine-tunes an autoencoder of diffusers; the part that needs diffusers runs where it is installed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from regionloss.hooks.catalogue import catalogue

EXAMPLE = Path(__file__).parents[2] / "examples" / "finetune_autoencoder.py"


@pytest.fixture
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("finetune_autoencoder", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_diffusers_it_says_what_to_install(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(SystemExit, match="pip install diffusers"):
        example.build("kl", None)


@pytest.mark.weights
@pytest.mark.filterwarnings("ignore")  # what diffusers and its dependencies say when imported is theirs
@pytest.mark.parametrize("kind", ["kl", "vq"])
def test_it_fine_tunes_and_saves_what_it_reads_again(
    example: ModuleType, kind: str, tmp_path: Path, weights: Callable[[str], Path]
) -> None:
    pytest.importorskip("diffusers")
    for record in catalogue().weights():
        if record.packaged:
            weights(record.canonical)
    arguments = ["--model", kind, "--size", "64", "--first-steps", "2", "--steps", "2"]
    images, figures, model = example.run(example.parsed(arguments))
    assert list(images) == ["original", "before", "without terms", "with terms"]
    assert all(set(values) == {"PSNR, dB", "text", "face"} for values in figures.values())
    assert not torch.equal(images["without terms"], images["with terms"])
    example.save_sheet(images, tmp_path / "sheet.png")
    model.save_pretrained(tmp_path / "model")
    again = example.build("kl", tmp_path / "model")
    assert type(again) is type(model)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match=r"config\.json"):
        example.build("kl", tmp_path / "empty")
