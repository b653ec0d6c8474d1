"""Names, imports and options of components."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from regionloss import HostSpec
from regionloss.errors import InputError, PluginError, UnknownNameError, did_you_mean
from regionloss.hooks.catalogue import build_catalogue
from tests.disk_plugins import HEALTHY, write_distribution

HEAD = "from regionloss.hooks import hookimpl\n@hookimpl\n"


def test_listing_everything_imports_no_torch_and_is_quick() -> None:
    program = (
        "import json, sys, time; start = time.process_time()\n"
        "from regionloss.hooks.catalogue import catalogue\n"
        "c = catalogue(); n = len(c.components()) + len(c.terms()) + len(c.weights())\n"
        "print(json.dumps([n, 'torch' in sys.modules, 'numpy' in sys.modules, time.process_time() - start]))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    count, torch, numpy, seconds = json.loads(result.stdout)
    assert count >= 12
    assert not torch
    assert not numpy
    # About 0.05 s on an idle machine; torch alone takes longer than this limit.
    assert seconds < 1, f"{seconds:.2f} s of the processor"


@pytest.mark.parametrize("component", build_catalogue([]).components(), ids=lambda c: f"{c.kind}:{c.canonical}")
def test_what_core_registers_can_be_imported(component: object) -> None:
    catalogue = build_catalogue([])
    loaded = catalogue.load(component.kind, component.canonical)
    assert isinstance(loaded, HostSpec) if component.kind == "host" else callable(loaded)


def test_region_kinds_of_core() -> None:
    face = build_catalogue([]).region_kind("face")
    assert face.keypoints == ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
    assert face.flip_pairs == ((0, 1), (3, 4))


def test_a_bare_name_serves_while_it_is_unique(site: Path) -> None:
    for plugin in ("one", "two"):
        write_distribution(site, plugin)
    assert build_catalogue(["one"]).find("distance", "plain").canonical == "one/plain"
    both = build_catalogue(["one", "two"])
    with pytest.raises(UnknownNameError) as told:
        both.find("distance", "plain")
    assert str(told.value) == ("distance 'plain' is registered by several plugins. Write one of: one/plain, two/plain.")
    assert both.find("distance", "two/plain").plugin == "two"
    assert both.find("distance", "plain", plugin="one").plugin == "one"


def test_unknown_names_and_kinds() -> None:
    catalogue = build_catalogue([])
    with pytest.raises(UnknownNameError) as told:
        catalogue.find("extractor", "resise")
    assert str(told.value) == (
        "no extractor is named 'resise'. Did you mean 'resize'? Known: aligned, letterbox, rectified, resize, "
        "whole-image."
    )
    with pytest.raises(UnknownNameError, match=r"no kind of component 'extractors'\. Did you mean 'extractor'"):
        catalogue.components("extractors")
    with pytest.raises(UnknownNameError, match="no term is named 'txt'"):
        catalogue.term("txt")


@pytest.mark.parametrize("name", ["text/packaged", "text", "face/packaged", "hands", "logo/packaged"])
def test_a_plugin_of_ours_that_is_not_installed_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regionloss.hooks.manager.installed_plugins", list)
    with pytest.raises(UnknownNameError) as told:
        build_catalogue().term(name)
    advice = f"Its plugin is not installed: pip install regionloss-{name.split('/')[0]}."
    assert str(told.value) == f"no term is named '{name}'. {advice}"
    with pytest.raises(UnknownNameError, match="Its plugin is not installed: pip install regionloss-text"):
        build_catalogue().find("detector", "text/ppocr")
    with pytest.raises(UnknownNameError, match="Known: "):
        build_catalogue().term("txt/packaged")


def test_the_default_term_answers_to_its_plugins_name(site: Path) -> None:
    common = "kind='text', extractor='resize', backbone='b', licence='MIT', summary='s'"
    lines = [f"register('first', {common})", f"register('second', default=True, {common})"]
    write_distribution(site, "read", HEAD + "def register_terms(register):\n    " + "\n    ".join(lines))
    catalogue = build_catalogue(["read"])
    assert catalogue.term("read").canonical == "read/second"
    assert catalogue.term("first").canonical == "read/first"
    with pytest.raises(UnknownNameError, match="Did you mean 'read'"):
        catalogue.term("raed")


def test_an_import_that_fails_names_the_distribution_and_what_to_install(site: Path) -> None:
    source = HEAD + (
        "def register_judges(register):\n"
        "    register('reader', 'not_there_at_all:Reader', summary='s', extra='reader-engine>=2')\n"
        "    register('lost', '{module}:Lots', summary='s')\n"
        "class Lost: pass\n"
    )
    write_distribution(site, "judges", source, version="4.5")
    catalogue = build_catalogue(["judges"])
    with pytest.raises(PluginError) as told:
        catalogue.load("judge", "reader")
    assert str(told.value) == (
        "judge 'judges/reader' (regionloss-judges 4.5) cannot be imported: not_there_at_all: ModuleNotFoundError: "
        "No module named 'not_there_at_all'. It needs more than its plugin: pip install 'reader-engine>=2'."
    )
    with pytest.raises(PluginError, match=r"has no 'Lots'. Did you mean 'Lost'\?"):
        catalogue.load("judge", "lost")


def test_what_a_module_imported_is_no_guess_for_a_class_that_it_lacks(site: Path) -> None:
    source = HEAD + (
        "def register_judges(register):\n    register('reader', '{module}:Path', summary='s')\n"
        "import json, pathlib\nfrom pathlib import PurePath\nSIZE = 3\n"
        "class Reader: pass\ndef read(): pass\n"
    )
    write_distribution(site, "judges", source)
    with pytest.raises(PluginError, match=r"has no 'Path'\. Known: Reader, read, register_judges\.$"):
        build_catalogue(["judges"]).load("judge", "reader")


def test_build_lists_every_wrong_option(site: Path) -> None:
    write_distribution(site, "healthy", HEALTHY)
    catalogue = build_catalogue(["healthy"])
    assert catalogue.build("distance", "plain").power == 2
    with pytest.raises(InputError) as told:
        catalogue.build("distance", "plain", {"powr": 3, "power": "2"})
    assert str(told.value).splitlines() == [
        "distance 'healthy/plain': power: expected an integer, got \"2\".",
        "distance 'healthy/plain': powr: expected a known key, got 'powr'. Did you mean 'power'? Known: power.",
    ]


def test_a_plugin_file_needs_no_distribution(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("class Beside:\n    pass\n")
    (tmp_path / "my_hands.py").write_text(
        HEAD + "def register_detectors(register):\n"
        "    register('here', 'my_hands:Here', licence='MIT', summary='s')\n"
        "    register('beside', 'beside:Beside', licence='MIT', summary='s')\n"
        "class Here: pass\n"
    )
    catalogue = build_catalogue([], files=[tmp_path / "my_hands.py", tmp_path / "absent.py"])
    assert catalogue.build("detector", "my-hands/here").__class__.__name__ == "Here"
    assert catalogue.build("detector", "beside").__class__.__name__ == "Beside"
    assert catalogue.find("detector", "here").version.startswith("sha256:")
    (absent,) = catalogue.broken
    assert absent.sentence.startswith(f"there is no file '{tmp_path / 'absent.py'}'.")


@pytest.mark.parametrize(("typed", "meant"), [("MTCNN", "mtcnn"), ("Ppocr", "ppocr"), ("Whole-Image", "whole-image")])
def test_capitals_are_no_reason_not_to_guess_a_name(typed: str, meant: str) -> None:
    assert did_you_mean(typed, ["craft", "mtcnn", "ppocr", "whole-image"]).startswith(f"Did you mean '{meant}'? Known:")
