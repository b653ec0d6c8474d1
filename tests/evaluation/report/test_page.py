"""The page's text: numbers in tables, sentences, and that nothing of the data becomes markup."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from regionloss.errors import InputError
from regionloss.evaluation.report import Curves, Origin, write_report
from tests.evaluation.report.fabricated import fabricate

VOID = frozenset({"meta", "img", "br", "input", "line", "circle"})


class Page(HTMLParser):
    """Tags that are open must be closed; addresses and words are collected."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts: dict[str, str] = {}
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.ids: set[str] = set()
        self._script: str | None = None
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href", "action")]
        self.ids.add(found.get("id") or "")
        if tag not in VOID:
            self.open.append(tag)
        self._script = (found.get("id") or "code") if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._script = None

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href", "action")]

    def handle_data(self, data: str) -> None:
        if self._script is None:
            self.words.append(data)
        else:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def test_the_page_is_one_file_and_asks_for_no_other(tmp_path: Path) -> None:
    page = Page(write_report([fabricate(tmp_path / "a")], tmp_path / "new" / "page.html"))
    assert page.addresses
    assert all(address.startswith("#") and address[1:] in page.ids for address in page.addresses)
    assert "http" not in page.scripts["code"].replace("http-equiv", "")


def test_the_tables_say_scores_intervals_ceilings_and_who_judged(tmp_path: Path) -> None:
    results = [
        fabricate(tmp_path / name, name, blur=blur, words=120) for name, blur in (("control", 1.6), ("ours", 0.9))
    ]
    text = Page(write_report(results, tmp_path / "page.html")).text
    score = results[1].summary.score("t_acc", "", "text/reader")
    assert score is not None
    value, low, high = (f"{100 * float(number or 0):.1f}" for number in (score.value, score.low, score.high))
    shown = f"best {value} {low} to {high} ceiling 100.0"
    assert shown in text
    assert "Not shown" not in text
    assert "ours against control : T-ACC by text/reader" in text
    for wanted in ("text/reader", "text/reader-ctc", "ab12" * 16, "rapidocr", "48 x 320, mean 0.5", "0.0583 bpp"):
        assert wanted in text


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>\"'\n\u2028<img src=x onerror=alert(1)>\udc80"
    results = fabricate(tmp_path / "a", evil, data=evil, notes=[evil], words=4)
    page = Page(write_report([results], tmp_path / "page.html", title=evil))
    assert json.loads(page.scripts["instances-data"])["tokenizers"][0]["name"].startswith("</script>")
    assert "alert" not in page.scripts["code"]
    assert "<img src=x onerror=alert(1)>" in page.text


def test_a_drawing_that_fails_is_named_on_the_page_and_nothing_else_is_lost(tmp_path: Path) -> None:
    results = fabricate(tmp_path / "a", words=8, faces=2)
    broken = Curves([{"part": "a", "step": "first", "loss/total": 1.0}], {"a": "a"})
    page = Page(write_report([results], tmp_path / "page.html", curves=broken, notes=["file \ud83d"]))
    assert "Not shown: the losses during training (" in page.text
    assert r"file \ud83d" in page.text
    assert {"scores", "instances"} <= page.ids
    assert "Not shown" not in Page(write_report([results], tmp_path / "page.html")).text
    with pytest.raises(InputError, match="expected results of one tokenizer at least, got none"):
        write_report([], tmp_path / "page.html")


def test_how_a_run_made_its_tokenizers_is_said(tmp_path: Path) -> None:
    weight = {"name": "text/file", "sha256": "ef" * 32, "licence": "not stated"}
    reader = {"name": "text/reader-net", "kind": "backbone", "licence": "Apache-2.0", "weights": [weight]}
    reader |= {"distribution": "regionloss-text", "version": "0.1"}
    recipe = {"version": 1, "terms": {"text": {"use": "text/packaged"}}}
    resolved = {"recipe": recipe, "versions": {"torch": "9.9"}, "components": [reader, reader]}
    origin = Origin("regionloss train quickstart", resolved, {"pretrain": 301.2}, [("photograph 'coffee'", "CC0-1.0")])
    text = Page(write_report([fabricate(tmp_path / "a", words=2)], tmp_path / "page.html", origin=origin)).text
    for wanted in ("regionloss train quickstart", "5 min 01 s", "photograph 'coffee'", "CC0-1.0", "text/packaged"):
        assert wanted in text
    assert text.count("ef" * 32) == 1


def test_kinds_without_a_judge_are_shown_and_those_without_instances_said(tmp_path: Path) -> None:
    results = fabricate(tmp_path / "a", words=0, faces=0)
    page = Page(write_report([results], tmp_path / "page.html"))
    assert "no instances" in page.text
    assert "instances" not in page.ids
    assert not re.search(r"\bnan\b", page.text, re.IGNORECASE)


def test_many_tokenizers_have_a_short_title_and_more_findings_where_one_asks(tmp_path: Path) -> None:
    results = [fabricate(tmp_path / name, name, blur=1 + i / 5, words=4, faces=1) for i, name in enumerate("abcde")]
    page = Page(write_report(results, tmp_path / "page.html"))
    assert "5 tokenizers side by side" in page.text
    assert "2 more" in page.text
    assert page.text.count(" against a : ") == 8
