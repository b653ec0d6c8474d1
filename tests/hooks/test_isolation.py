"""A plugin that fails stops only those who ask for it, and says what is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from regionloss.errors import PluginError, UnknownNameError
from regionloss.hooks.catalogue import build_catalogue
from tests.disk_plugins import HEALTHY, write_distribution

HEAD = "from regionloss.hooks import hookimpl\n"
ADVICE = "Uninstall or rename one of them: recipes cannot tell them apart."
GOOD = '"x", "m:X", licence="MIT", summary="s"'
BROKEN = {
    "import": ("import a_module_that_is_not_there", "No module named 'a_module_that_is_not_there'"),
    "syntax": ("def (:", "SyntaxError"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3."),
    "raises": (
        f"{HEAD}@hookimpl\ndef register_detectors(register):\n    raise RuntimeError('no luck')\n",
        "register_detectors: RuntimeError: no luck.",
    ),
    "leaves": (
        f"{HEAD}@hookimpl\ndef register_detectors(register):\n    raise SystemExit('enough')\n",
        "register_detectors: SystemExit: enough.",
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
        f"{HEAD}@hookimpl\ndef register_detectors(register):\n    register('x', len, licence='MIT', summary='s')\n",
        "x: target: expected a string 'package.module:Name', got <built-in function len>.",
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
        "hand: flip_pairs: expected pairs of different numbers below 1, got [(0, 1)].",
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
    assert catalogue.clashes() == [
        f"plugin 'same' comes from two distributions: first-one 1.0 and second-one 2.0. {ADVICE}"
    ]
    for name in ("plain", "same/plain"):
        with pytest.raises(PluginError) as told:
            catalogue.find("distance", name)
        assert str(told.value) == f"{sentence} {ADVICE}"
    assert catalogue.find("distance", "squared-l2").plugin == "core"


def test_a_plugin_file_that_is_installed_as_well_may_be_left_out(site: Path, tmp_path: Path) -> None:
    write_distribution(site, "same", name="first-one", version="1.0")
    (tmp_path / "same.py").write_text(HEALTHY.replace("{module}", "same"))
    catalogue = build_catalogue(["same"], files=[tmp_path / "same.py"])
    with pytest.raises(PluginError) as told:
        catalogue.find("distance", "same/plain")
    end = "Leave out 'plugins: [./same.py]', or uninstall or rename one of them: recipes cannot tell them apart."
    assert str(told.value).endswith(f"first-one 1.0. {end}")
    assert catalogue.clashes()[0].endswith(end)


def test_two_default_terms_of_one_plugin_name_are_an_error_that_names_both(site: Path) -> None:
    """Neither of the two is what the bare name stands for; each can still be had by its own."""
    for name in ("first", "second"):
        source = (
            f"{HEAD}@hookimpl\ndef register_terms(register):\n"
            f"    register('{name}', kind='text', extractor='resize', backbone='b', default=True,"
            " licence='MIT', summary='s')\n"
        )
        write_distribution(site, "same", source, name=f"{name}-one", version="1.0")
    catalogue = build_catalogue(["same"])
    owners = "first-one 1.0 and second-one 1.0"
    assert catalogue.clashes() == [f"plugin 'same' comes from two distributions: {owners}. {ADVICE}"]
    with pytest.raises(PluginError) as told:
        catalogue.term("same")
    assert str(told.value) == f"term 'same' is the name of two plugins with a default term: {owners}. {ADVICE}"
    assert catalogue.term("same/second").distribution == "second-one"


def test_a_constructor_that_imports_in_vain_is_named(site: Path) -> None:
    hook = "def register_detectors(register):\n    register('late', 'late:Late', licence='MIT', summary='s')\n"
    write_distribution(site, "polite", f"{HEAD}@hookimpl\n{hook}", version="3.1")
    (site / "late.py").write_text("class Late:\n    def __init__(self):\n        import not_there.at_all")
    with pytest.raises(PluginError) as told:
        build_catalogue(["polite"]).build("detector", "late")
    assert str(told.value) == (
        "detector 'polite/late' (regionloss-polite 3.1) cannot be built: ModuleNotFoundError: No module named "
        "'not_there'. Install the package that brings 'not_there'; regionloss-polite should declare it, tell "
        "its authors."
    )
    sys.modules.pop("late", None)


@pytest.mark.parametrize("where", ["module", "constructor"])
def test_a_component_that_leaves_the_program_is_named(site: Path, where: str) -> None:
    hook = "def register_distances(register):\n    register('bye', 'leaving:Bye', licence='MIT', summary='s')\n"
    source = f"{HEAD}@hookimpl\n{hook}"
    write_distribution(site, "polite", source, version="3.1")
    body = (
        "raise SystemExit(3)"
        if where == "module"
        else "class Bye:\n    def __init__(self):\n        raise SystemExit(3)"
    )
    (site / "leaving.py").write_text(body)
    with pytest.raises(PluginError) as told:
        build_catalogue(["polite"]).build("distance", "bye")
    said = "imported: leaving" if where == "module" else "built"
    assert str(told.value).startswith(f"distance 'polite/bye' (regionloss-polite 3.1) cannot be {said}: SystemExit: 3.")
    sys.modules.pop("leaving", None)


@pytest.mark.parametrize(
    ("hook", "target", "wanted"),
    [
        ("distances", "3", "expected a class or function, got 3. "),
        ("trainers", "3", "expected a class, got 3. "),
        ("trainers", "type('T', (), {})", "expected a class with a method run(run: TrainingRun), got one without. "),
        ("commands", "3", "expected a typer app or a function, got 3. "),
    ],
)
def test_a_target_of_which_nothing_can_be_made_is_a_sentence(site: Path, hook: str, target: str, wanted: str) -> None:
    component = "'x', '{module}:target', licence='MIT', summary='s'"
    source = f"{HEAD}@hookimpl\ndef register_{hook}(register):\n    register({component})\ntarget = {target}\n"
    write_distribution(site, "odd", source)
    kind = hook.removesuffix("s")
    with pytest.raises(PluginError, match=f"^{kind} 'odd/x' \\(regionloss-odd 1.0\\): disk_odd_") as told:
        build_catalogue(["odd"]).load(kind, "x")
    assert f":target: {wanted}" in str(told.value)
