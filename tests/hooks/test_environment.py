"""REGIONLOSS_PLUGINS and REGIONLOSS_TRACE."""

from __future__ import annotations

from pathlib import Path

import pytest

from regionloss.errors import PluginError
from regionloss.hooks.catalogue import build_catalogue, catalogue
from tests.disk_plugins import write_distribution


def names(site: Path, value: str | None, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    for plugin in ("one", "two"):
        write_distribution(site, plugin)
    if value is not None:
        monkeypatch.setenv("REGIONLOSS_PLUGINS", value)
    return {plugin.name for plugin in build_catalogue().plugins}


def test_without_the_variable_every_installed_plugin_is_loaded(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"core", "one", "two"} <= names(site, None, monkeypatch)


def test_the_variable_names_those_to_load(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(site, "two, one", monkeypatch) == {"core", "one", "two"}


def test_empty_it_loads_none_but_core(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(site, "", monkeypatch) == {"core"}


def test_a_plugin_that_is_left_out_is_named_to_who_asks(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(site, "one", monkeypatch) == {"core", "one"}
    with pytest.raises(PluginError, match=r"REGIONLOSS_PLUGINS leaves out plugin 'two' \(regionloss-two 1.0\)"):
        build_catalogue().find("distance", "two/plain")


def test_a_name_that_no_plugin_has_is_reported(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(site, "onne", monkeypatch) == {"core"}
    (broken,) = build_catalogue().broken
    assert broken.sentence.startswith("no plugin of this name is installed. Did you mean 'one'?")


def test_the_shared_catalogue_follows_the_variable(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names(site, "", monkeypatch)
    assert [plugin.name for plugin in catalogue().plugins] == ["core"]
    assert catalogue() is catalogue()
    monkeypatch.setenv("REGIONLOSS_PLUGINS", "one")
    assert [plugin.name for plugin in catalogue().plugins] == ["core", "one"]


def test_tracing_prints_each_hook_that_is_called(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REGIONLOSS_TRACE", "1")
    names(site, "one", monkeypatch)
    printed = capsys.readouterr().err
    assert "plugin 'one' (regionloss-one 1.0): register_distances -> one/plain" in printed
    assert "register_area_weightings -> core/area, core/uniform, core/sqrt-area, core/score" in printed
