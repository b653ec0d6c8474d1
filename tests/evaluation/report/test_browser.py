"""The page in a real browser: keys, filters, sizes of screens, and time with thousands of instances."""

from __future__ import annotations

from pathlib import Path

import pytest

from regionloss.evaluation import read_results
from regionloss.evaluation.report import write_report
from regionloss.evaluation.tables import INSTANCE, table, write_table
from tests.evaluation.report.chromium import in_browser, needs_chromium
from tests.evaluation.report.fabricated import fabricate

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    tokenizers = [
        fabricate(folder / name, name, blur=blur, words=120) for name, blur in (("control", 1.6), ("ours", 0.9))
    ]
    return write_report(tokenizers, folder / "report.html")


def test_cards_show_words_letter_by_letter_worst_first(page: Path) -> None:
    found = in_browser(
        page,
        """
        await later(300);
        const card = document.querySelector(".card"), images = [...card.querySelectorAll("img")];
        await Promise.all(images.map((image) => image.decode()));
        await later(300);
        choose("by-sort", "best");
        const best = document.querySelector(".card");
        return {cards: cards().length, kinds: document.getElementById("by-kind").innerText,
          sizes: images.map((image) => [image.naturalWidth, image.width / image.naturalWidth]),
          worst: card.querySelectorAll(".wrong, .gone").length, right: best.querySelectorAll(".read .right").length,
          wrong: best.querySelectorAll(".wrong, .gone").length, status: document.getElementById("shown").textContent};
        """,
    )
    assert found["cards"] == 48
    assert found["kinds"].split("\n") == ["text (120)", "face (6)"]
    assert len(found["sizes"]) == 3, "the original and two tokenizers"
    assert all(width > 20 and zoom == int(zoom) >= 1 for width, zoom in found["sizes"])
    assert found["worst"] > 0
    assert (found["right"] > 0, found["wrong"]) == (True, 0)
    assert found["status"] == "1 to 48 of 120 instances"


def test_keys_move_enlarge_and_search(page: Path) -> None:
    found = in_browser(
        page,
        """
        const at = () => [...document.querySelectorAll(".card")].indexOf(document.activeElement);
        const large = document.getElementById("large"), steps = [];
        key("j"); steps.push(at());
        key("j"); steps.push(at());
        key("k"); steps.push(at());
        key("ArrowDown"); steps.push(at());
        key("Enter"); steps.push(large.open, document.getElementById("large-title").textContent === cards()[at0()]);
        function at0() { return [...document.querySelectorAll(".card")].findIndex((e) => e.tabIndex === 0); }
        const before = document.getElementById("large-facts").textContent;
        key("ArrowRight", large); steps.push(before !== document.getElementById("large-facts").textContent);
        large.close(); await later(50); steps.push(at());
        for (let i = 0; i < 60; i++) key("j");
        steps.push(document.getElementById("shown").textContent);
        key("/"); steps.push(document.activeElement.id);
        document.activeElement.value = "zürich"; document.activeElement.dispatchEvent(new Event("input"));
        await later(300);
        return {steps, words: [...new Set(cards())]};
        """,
    )
    across = found["steps"][3]
    assert found["steps"][:3] == [0, 1, 0]
    assert across >= 2
    assert found["steps"][4:8] == [True, True, True, across + 1]
    assert found["steps"][8].startswith("49 to 96 of 120")
    assert found["steps"][9] == "by-search"
    assert found["words"] == ["Zürich"]


def test_filters_and_orders_choose_what_they_say(page: Path) -> None:
    found = in_browser(
        page,
        """
        const status = () => document.getElementById("shown").textContent.split(" of ").pop();
        const out = {};
        choose("by-group", "small"); out.small = status(); choose("by-group", "");
        choose("by-column", "scene"); choose("by-value", "=street"); out.street = status(); choose("by-column", "");
        out.all = status();
        choose("by-verdict", "unjudged"); out.unjudged = status(); choose("by-verdict", "every");
        out.right = [...document.querySelectorAll(".card .sign")].every((sign) => sign.textContent === "✓");
        choose("by-verdict", "some"); choose("by-sort", "difference");
        const wrong = (card) => card.querySelector(".wrong, .gone, .nothing");
        out.differ = [...document.querySelectorAll(".card")].every(wrong);
        choose("by-verdict", ""); choose("by-kind", "face");
        out.face = [status(), document.querySelectorAll(".card.side").length];
        return out;
        """,
    )
    assert found["all"] == "120 instances"
    assert found["street"] == "40 instances"
    assert 10 < int(found["small"].split()[0]) < 80
    assert found["unjudged"] == "1 instance"
    assert found["right"]
    assert found["differ"]
    assert found["face"] == ["6 instances", 6]


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen_and_words_stand_out(page: Path, width: int) -> None:
    found = in_browser(
        page,
        """
        await later(200);
        const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
        const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
        const ground = (e) => {
          for (; e; e = e.parentElement) {
            const colour = parts(getComputedStyle(e).backgroundColor);
            if (colour[3] === undefined || colour[3] === 1) return colour;
          }
          return [255, 255, 255];
        };
        const ratio = (e) => {
          const [a, b] = [light(parts(getComputedStyle(e).color)), light(ground(e))];
          return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        };
        const worded = (e) => [...e.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        const text = (e) => worded(e) && !e.disabled && !e.closest("svg");
        const inside = ".scroll, nav, svg, .sr, dialog";
        const past = (e) => !e.closest(inside) && e.getBoundingClientRect().right > innerWidth + 1;
        const told = (e) => `${e.tagName} ${e.className} ${e.textContent.slice(0, 40)}`;
        const faint = () => seen().filter((e) => text(e) && ratio(e) < 4.5).map(told);
        const themes = {};
        for (let i = 0; i < 2; i++) {
          themes[document.documentElement.dataset.theme] = faint();
          document.getElementById("theme").click();
        }
        return {themes, wide: document.documentElement.scrollWidth, past: seen().filter(past).map(told)};
        """,
        width=width,
    )
    assert found["wide"] <= width
    assert found["past"] == []
    assert found["themes"] == {"light": [], "dark": []}


EVIL = "</script><script>document.title='hit'</script>\"'`${1}\n\u2028<img src=x onerror=\"document.title='hit'\">\x01"


def test_hostile_names_and_texts_are_shown_and_never_run(tmp_path: Path) -> None:
    results = fabricate(tmp_path / "a", EVIL, data=EVIL, notes=[EVIL], words=3, faces=1)
    rows = [
        row | {"key": EVIL, "read": EVIL, "truth": EVIL, "columns": {EVIL: EVIL}, "judge": EVIL, "problem": EVIL}
        for row in results.instances.to_pylist()
    ]
    write_table(table(rows, INSTANCE), tmp_path / "a" / "instances.parquet")
    page = write_report([read_results(tmp_path / "a")], tmp_path / "page.html", title="safe", notes=[EVIL])
    found = in_browser(
        page,
        """
        await later(300);
        key("j"); key("Enter"); await later(200);
        return {title: document.title, card: cards()[0], large: document.getElementById("large-title").textContent,
          judge: document.getElementById("by-judge").value, added: document.querySelectorAll("[onerror]").length};
        """,
    )
    assert found == {"title": "safe", "card": EVIL, "large": EVIL, "judge": EVIL, "added": 0}


def test_of_thousands_only_what_is_looked_at_is_drawn(tmp_path: Path) -> None:
    blurs = {"control": 1.6, "ours": 0.9}
    some = [fabricate(tmp_path / n, n, blur=blur, words=2600, faces=0, crops=False) for n, blur in blurs.items()]
    found = in_browser(
        write_report(some, tmp_path / "page.html"),
        """
        const status = document.getElementById("shown").textContent;
        document.querySelector("[data-turn='1']").click();
        const last = cards().length;
        return {status, last, elements: document.querySelectorAll("*").length, pictures: document.images.length};
        """,
    )
    assert found["status"] == "1 to 48 of 2,600 instances"
    assert (found["last"], found["pictures"]) == (48, 0)
    assert found["elements"] < 4000
