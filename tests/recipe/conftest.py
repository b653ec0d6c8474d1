from __future__ import annotations

from pathlib import Path

import pytest

PLUGIN = '''
"""A plugin beside a recipe: a tiny backbone, a term and a trainer."""

import dataclasses

from regionloss.hooks import hookimpl


@hookimpl
def register_feature_backbones(register):
    register("net", "tiny:net", licence="MIT", summary="one convolution", weights=["net-file"])


@hookimpl
def register_weights(register):
    register("net-file", filename="net.pth", sha256="ab" * 32, size=1, source="path:", licence="CC0-1.0", summary="s")
    register("other", filename="other.pth", sha256="cd" * 32, size=1, source="path:", licence="MIT", summary="s")


@hookimpl
def register_terms(register):
    options = {"extractor": {"size": [6, 9]}, "backbone": {"channels": 4}, "detector": {"boxes": []}}
    register("word", kind="text", detector="given", extractor="resize", backbone="net", options=options, default=True,
             licence="MIT", summary="words")


@hookimpl
def register_trainers(register):
    register("record", "tiny:Record", summary="writes what it received")


@dataclasses.dataclass(frozen=True)
class Phase:
    steps: int
    rate: float = 1e-3


class Record:
    def __init__(self, phases: tuple[Phase, ...], size: tuple[int, int] = (8, 8), note: str = "") -> None:
        self.phases = phases

    def run(self, run) -> None:
        terms = run.build_terms()
        words = [f"{name} {term.weight}" for name, term in terms.terms.items()]
        (run.out / "received.txt").write_text(f"{self.phases} {words} {run.recipe.seed} {run.resume}")


def net(channels: int = 3, weights: str = "net-file"):
    import torch

    import regionloss as rl

    class OneLevel(torch.nn.Conv2d):
        def forward(self, images):
            return [super().forward(images)]

    torch.manual_seed(channels)
    return rl.FeatureBackbone(OneLevel(3, channels, 3), rl.InputSpec())
'''

RECIPE = """\
version: 1
seed: 7
plugins: [./tiny.py]
terms:
  word:
    use: tiny
    weight: 5e-1
    start_step: 10
trainer:
  name: record
  options:
    phases:
      - {steps: 100, rate: 3e-4}
      - {steps: 200}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a plugin file and a recipe that uses it; installed plugins are left out."""
    monkeypatch.setenv("REGIONLOSS_PLUGINS", "")
    (tmp_path / "tiny.py").write_text(PLUGIN)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path
