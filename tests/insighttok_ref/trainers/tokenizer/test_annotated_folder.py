"""A run that looks for regions itself writes of its detectors what `regionloss annotate` writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from regionloss.cli.main import app
from regionloss.data.sidecars.sidecar import read_sidecar
from regionloss.recipe import TrainingRun, build_trainer, load_recipe

HERE = Path(__file__).parent
PLUGIN = '''
import torch
from regionloss import Regions, hookimpl


class Corner:
    """Finds the upper left corner of every image."""

    kind, version = "sign", "corner-1"

    def __init__(self, side: float = 8.0, weights: str = "net") -> None:
        self.side = side

    def detect(self, images):
        boxes = torch.tensor([[0.0, 0.0, self.side, self.side]]).repeat(len(images), 1)
        return Regions("sign", boxes, torch.arange(len(images)), tuple(images.shape[2:]), len(images))


@hookimpl
def register_region_kinds(register) -> None:
    register("sign", summary="a sign")


@hookimpl
def register_detectors(register) -> None:
    register("corner", f"{__name__}:Corner", licence="MIT", summary="corners", weights=["net"])


@hookimpl
def register_weights(register) -> None:
    for name, digit in (("net", "a"), ("other", "b")):
        register(name, filename=name, sha256=digit * 64, size=1, source="path:", licence="MIT", summary="a net")


@hookimpl
def register_terms(register) -> None:
    register("sign", kind="sign", detector="corner", extractor="resize", backbone="core/lpips-alex",
             options={"extractor": {"size": [16, 32]}}, licence="MIT", summary="signs")
'''


@pytest.mark.parametrize("options", [{}, {"side": 6, "weights": "other"}])
def test_a_run_and_the_command_write_the_same_scan(tmp_path: Path, options: dict[str, object]) -> None:
    (tmp_path / "photos").mkdir()
    for shade in range(2):
        Image.new("RGB", (48, 40), (90 * shade, 20, 30)).save(tmp_path / "photos" / f"{shade}.png")
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "tiny.yaml").write_text((HERE / "tiny.yaml").read_text())
    run = TrainingRun(
        load_recipe(
            tmp_path / "tiny.yaml",
            [
                "plugins=[./mine.py]",
                f"terms={{text: {{use: mine/sign, detector: {{options: {json.dumps(options)}}}}}}}",
                f"trainer.options.data.sources={{photos: {{images: {tmp_path / 'photos'}, annotate: true, test: 1}}}}",
                "trainer.options.evaluation.judges={}",
            ],
        ),
        tmp_path / "run",
    )
    with run.loaded.catalogue.in_use():
        build_trainer(run.loaded).open_data(run)
    words = ["annotate", str(tmp_path / "photos"), "--detectors", "mine/sign", "--plugin", str(tmp_path / "mine.py")]
    for name, value in options.items():
        words += ["--option", f"{name}={value}"]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out"), "--decoders", "1"])
    assert done.exit_code == 0, done.output
    ours = list(read_sidecar(str(tmp_path / "run/photos.regions.parquet")).rows())
    theirs = list(read_sidecar(str(next((tmp_path / "out").rglob("*.regions.parquet")))).rows())
    assert ours == theirs
    (scan,) = ours[0]["scans"]
    assert scan["detector"] == "mine/corner"
    assert scan["weights"] == ("b" if options else "a") * 64
    assert json.loads(scan["options"]) == {"max_side": 1600, "side": 8.0, "weights": "net"} | options
