"""The wheels of all distributions: built, installed outside the checkout, used where nothing knows of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = {"regionloss": ROOT, **{p.parent.name: p.parent for p in sorted((ROOT / "plugins").glob("*/pyproject.toml"))}}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the wheel of each distribution, built without a network."""
    found = {}
    for name, folder in PARTS.items():
        out = tmp_path_factory.mktemp("wheels")
        run(ROOT, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(folder))
        (found[name],) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def site(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which the wheels alone were installed; what they need is the environment's."""
    folder = tmp_path_factory.mktemp("site")
    files = [str(wheel) for wheel in wheels.values()]
    run(folder, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder), *files)
    return folder


def run(cwd: Path, *words: str, site: Path | None = None, **more: str) -> str:
    """Return what `python WORDS` prints, with `site` before everything that is installed."""
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "REGIONLOSS_PLUGINS")}
    if site is not None:
        variables |= {"PYTHONPATH": str(site), "COLUMNS": "200"}
    variables |= more
    result = subprocess.run([sys.executable, *words], cwd=cwd, env=variables, capture_output=True, text=True)
    assert result.returncode == 0, f"{' '.join(words)}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def test_three_distributions_are_built(wheels: dict[str, Path]) -> None:
    assert wheels.keys() >= {"regionloss", "regionloss-text", "regionloss-face"}


def test_wheels_hold_what_git_knows_and_nothing_of_the_tests(wheels: dict[str, Path]) -> None:
    for name, folder in PARTS.items():
        with zipfile.ZipFile(wheels[name]) as archive:
            held = {entry for entry in archive.namelist() if ".dist-info/" not in entry}
        source = folder / "src" if name != "regionloss" else folder
        packages = [p for p in source.iterdir() if (p / "__init__.py").is_file() and p.name.startswith(("reg", "ins"))]
        wanted = {
            path.relative_to(source).as_posix()
            for package in packages
            for path in package.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        if name == "regionloss":
            recipes = ROOT / "recipes"
            wanted |= {
                f"regionloss/_recipes/{path.relative_to(recipes).as_posix()}"
                for path in recipes.rglob("*")
                if path.is_file()
            }
        assert held == wanted


def test_every_wheel_says_what_it_is(wheels: dict[str, Path]) -> None:
    for name, wheel in wheels.items():
        with zipfile.ZipFile(wheel) as archive:
            (metadata,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            text = archive.read(metadata).decode()
            entry_points = archive.read(metadata.replace("METADATA", "entry_points.txt")).decode()
        assert f"\nName: {name}\n" in text
        assert "\nLicense-Expression: Apache-2.0\n" in text
        assert "\nRequires-Python: >=3.11\n" in text
        assert "[regionloss]" in entry_points


def test_a_recipe_is_found_by_name_outside_the_checkout(site: Path, tmp_path: Path) -> None:
    said = run(tmp_path, "-m", "regionloss", "check", "quickstart", site=site)
    assert "no mistakes. Terms: text, face." in said
    where = "import regionloss, insighttok_ref, regionloss_text, regionloss_face as f; "
    names = "regionloss, insighttok_ref, regionloss_text, f"
    files = run(tmp_path, "-c", f"{where}print(*(m.__file__ for m in ({names})), sep='\\n')", site=site)
    assert all(Path(line).is_relative_to(site) for line in files.splitlines()), files


def test_plugins_are_found_once_though_they_are_also_installed(site: Path, tmp_path: Path) -> None:
    said = run(tmp_path, "-m", "regionloss", "plugins", site=site)
    lines = [line for line in said.splitlines() if line.split()[:1] in (["core"], ["text"], ["face"], ["insighttok"])]
    assert len(lines) == 4, said
    assert all(" ok " in line for line in lines), said


@pytest.mark.parametrize("name", ["generated", *(name for name in PARTS if name != "regionloss")])
def test_a_plugin_works_where_only_regionloss_is(wheels: dict[str, Path], tmp_path: Path, name: str) -> None:
    """Found, listed, its contracts kept; weights that are not here are said to be untried.

    With `-S` no file of the environment names a checkout: of all that this project is, only the two wheels are there.
    """
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site))
    run(work, *install, str(wheels["regionloss"]), *([str(wheels[name])] if name in wheels else []))
    alone = {"PYTHONPATH": os.pathsep.join([str(site), sysconfig.get_path("purelib")]), "COLUMNS": "200"}
    plugin = name.removeprefix("regionloss-")
    if name == "generated":
        run(work, "-S", "-m", "regionloss", "plugin", "new", plugin, **alone, REGIONLOSS_PLUGINS="")
        folder = work / f"regionloss-{plugin}"
        run(work, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(work), str(folder))
        run(work, *install, *map(str, work.glob("*.whl")))
        shutil.rmtree(folder)
    alone["REGIONLOSS_PLUGINS"] = plugin
    listed = run(work, "-S", "-m", "regionloss", "plugins", **alone)
    assert [line.split()[:4] for line in listed.splitlines() if line.startswith(f"{plugin} ")] == [
        [plugin, f"regionloss-{plugin}", "0.1.0" if name == "generated" else "0.2.0", "ok"]
    ]
    where = run(work, "-S", "-c", f"import regionloss_{plugin} as p; print(p.__file__)", **alone)
    assert Path(where.strip()).is_relative_to(site)
    checked = run(work, "-S", "-m", "regionloss", "plugin", "check", plugin, **alone)  # exits with 0
    if name == "generated" or os.environ.get("REGIONLOSS_REQUIRE_WEIGHTS") == "1":
        assert "it keeps its contract" in checked
    assert "nothing required is missing" in checked


def test_the_loss_works_outside_the_checkout(site: Path, tmp_path: Path) -> None:
    program = """
import torch, regionloss as rl
network = torch.nn.Conv2d(3, 4, 3)
class Net(rl.FeatureBackbone):
    def levels(self, network, images):
        return [network(images)]
loss = rl.RegionPerceptualLoss(rl.ResizeExtractor((8, 8)), Net(network, rl.InputSpec()))
images = torch.rand(1, 3, 16, 16) * 2 - 1
regions = rl.Regions("text", torch.tensor([[2.0, 2.0, 12.0, 9.0]]), torch.tensor([0]), (16, 16))
print(float(loss(images, images, regions)), float(loss(images.flip(3), images, regions)) > 0)
"""
    assert run(tmp_path, "-c", program, site=site).split() == ["0.0", "True"]
