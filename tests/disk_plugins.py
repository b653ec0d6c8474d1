"""Small plugin distributions, written to disk with their metadata, as an installer would leave them."""

from __future__ import annotations

import itertools
import textwrap
from pathlib import Path

NUMBERS = itertools.count()

HEALTHY = """
from regionloss.hooks import hookimpl

@hookimpl
def register_distances(register):
    register("plain", "{module}:Plain", licence="MIT", summary="mean difference")

class Plain:
    def __init__(self, power: int = 2) -> None:
        self.power = power
"""


def write_distribution(
    folder: Path, plugin: str, source: str = HEALTHY, *, version: str = "1.0", name: str = ""
) -> str:
    """Write a distribution with one module, named as the entry point `plugin`; return the distribution's name."""
    distribution = name or f"regionloss-{plugin}"
    module = f"disk_{plugin}_{next(NUMBERS)}".replace("-", "_")
    (folder / f"{module}.py").write_text(textwrap.dedent(source).replace("{module}", module))
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[regionloss]\n{plugin} = {module}\n")
    return distribution
