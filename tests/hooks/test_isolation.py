"""A plugin that fails stops only those who ask for it, and says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from regionloss.errors import PluginError, UnknownNameError
from regionloss.hooks.catalogue import build_catalogue
from tests.disk_plugins import write_distribution

HEAD = "from regionloss.hooks import hookimpl\n"
GOOD = '"x", "m:X", licence="MIT", summary="s"'
BROKEN = {
    "import": ("import a_module_that_is_not_there", "No module named 'a_module_that_is_not_there'"),
    "syntax": ("def (:", "SyntaxError"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3."),
    "raises": (
        f"{HEAD}@hookimpl\ndef register_detectors(register):\n    raise RuntimeError('no luck')\n",
        "register_detectors: RuntimeError: no luck.",
    ),
    "misspelled": (
        f"{HEAD}@hookimpl\ndef register_detector(register):\n    pass\n",
        "'register_detector' is not a hook. Did you mean 'register_detectors'?",
    ),
    "unmarked": (
        f"{HEAD}def register_detectors(register):\n    register({GOOD})\n",
        "register_detectors is not marked as a hook. Write @regionloss.hooks.hookimpl above it.",
    ),
    "empty": ("x = 1", "has no hooks. Write at least one function marked with @regionloss.hooks.hookimpl."),
    "arguments": (
        f"{HEAD}@hookimpl\ndef register_detectors(register):\n"
        "    register('x', 'm:X', license='MIT', summary='s')\n",
        "got an unexpected keyword argument 'license'",
    ),
    "parameter": (
        f"{HEAD}@hookimpl\ndef register_detectors(registry):\n    pass\n",
        "register_detectors: expected the one argument 'register'.",
    ),
    "target": (
        f"{HEAD}@hookimpl\ndef register_detectors(register):\n    register('x', print, licence='MIT', summary='s')\n",
        "x: target: expected a string 'package.module:Name', got <built-in function print>.",
    ),
    "name": (
        f"{HEAD}@hookimpl\ndef register_detectors(register):\n"
        "    register('My Net', 'm:X', licence='MIT', summary='s')\n",
        "name: expected a name of lower-case letters, digits, '-', '_' and '.', got 'My Net'.",
    ),
    "twice": (
        f"{HEAD}@hookimpl\ndef register_detectors(register):\n    register({GOOD})\n    register({GOOD})\n",
        "'x' is registered twice. Give the two different names.",
    ),
    "hash": (
        f"{HEAD}@hookimpl\ndef register_weights(register):\n    register('w', filename='w', sha256='abc', size=1,"
        " source='path:', licence='MIT', summary='s')\n",
        "w: sha256: expected 64 hexadecimal digits or '', got 'abc'.",
    ),
    "source": (
        f"{HEAD}@hookimpl\ndef register_weights(register):\n    register('w', filename='w', sha256='', size=1,"
        " source='ftp://x', licence='MIT', summary='s')\n",
        "w: source: expected 'pip:NAME==VERSION:MEMBER'",
    ),
    "pairs": (
        f"{HEAD}@hookimpl\ndef register_region_kinds(register):\n"
        "    register('hand', summary='s', keypoints=['a'], flip_pairs=[(0, 1)])\n",
        "hand: flip_pairs: expected pairs of different numbers below 1, got ((0, 1),).",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_reported_and_the_healthy_one_works(site: Path, case: str) -> None:
    source, sentence = BROKEN[case]
    write_distribution(site, "bad", source, version="0.9")
    write_distribution(site, "healthy")
    catalogue = build_catalogue(["bad", "healthy"])
    (broken,) = catalogue.broken
    assert (broken.plugin.name, broken.plugin.distribution, broken.plugin.version) == (
        "bad",
        "regionloss-bad",
        "0.9",
    )
    assert sentence in broken.sentence
    assert "\n" not in broken.sentence
    assert catalogue.build("distance", "plain", {"power": 3}).power == 3
    assert not [record for record in catalogue.records if record.plugin == "bad"]


def test_who_asks_for_a_broken_plugin_is_told_why(site: Path) -> None:
    write_distribution(site, "bad", BROKEN["raises"][0], version="0.9")
    catalogue = build_catalogue(["bad"])
    sentence = "plugin 'bad' (regionloss-bad 0.9) is broken: register_detectors: RuntimeError: no luck."
    with pytest.raises(PluginError) as told:
        catalogue.find("detector", "bad/x")
    assert str(told.value) == f"detector 'bad/x' cannot be had, since {sentence}"
    with pytest.raises(UnknownNameError) as told_too:
        catalogue.find("detector", "x")
    assert str(told_too.value).endswith(f"Note: {sentence}")


def test_a_plugin_may_not_call_itself_core(site: Path) -> None:
    write_distribution(site, "core")
    catalogue = build_catalogue(["core"])
    assert "the name 'core' is taken by regionloss itself" in catalogue.broken[0].sentence
    assert catalogue.find("distance", "core/squared-l2").distribution == "regionloss"


def test_two_components_of_one_name_are_an_error_that_names_both(site: Path) -> None:
    write_distribution(site, "same", name="first-one", version="1.0")
    write_distribution(site, "same", name="second-one", version="2.0")
    catalogue = build_catalogue(["same"])
    sentence = "distance 'same/plain' is registered by two distributions: first-one 1.0 and second-one 2.0."
    assert catalogue.clashes() == [sentence]
    for name in ("plain", "same/plain"):
        with pytest.raises(PluginError) as told:
            catalogue.find("distance", name)
        assert str(told.value).startswith(sentence)
    assert catalogue.find("distance", "squared-l2").plugin == "core"
