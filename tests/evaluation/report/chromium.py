"""A real browser without a screen: a page is opened, a program acts on it, and what it found is read back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from html import unescape
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage")
#: Runs in a page that a narrow frame may hold: what it returns goes to the frame's owner, which has it in its tree.
PROGRAM = """<script>
const faults = [];
addEventListener("error", (event) => faults.push(String(event.message)));
addEventListener("securitypolicyviolation", (event) => faults.push(`refused: ${event.violatedDirective}`));
const key = (name, on) => (on || document.activeElement || document.body)
  .dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true, cancelable: true}));
const choose = (id, value) => {
  const select = document.getElementById(id);
  select.value = value;
  select.dispatchEvent(new Event("change"));
};
const cards = () => [...document.querySelectorAll(".card h4")].map((e) => e.textContent);
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const seen = () => [...document.querySelectorAll("body *")].filter((e) => e.getClientRects().length);
addEventListener("load", async () => {
  let found;
  try { found = await (async () => { %s })(); } catch (error) { found = {failed: String(error.stack)}; }
  parent.postMessage(JSON.stringify({found, faults}), "*");
});
</script>"""
OWNER = """<!doctype html><body style="margin:0"><pre id="found"></pre>
<iframe src="page.html" style="border:0;width:%dpx;height:%dpx"></iframe>
<script>addEventListener("message", (e) => { document.getElementById("found").textContent = e.data; });</script>"""


def in_browser(page: Path, program: str, width: int = 1280, height: int = 900) -> Any:
    """Return what a program (the body of an async function) returns in a page, opened from disk at a size.

    The page's own policy would refuse the program: it is replaced by one that allows scripts, and still no network.
    """
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", text, count=1)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "page.html").write_text(
            text.replace("<style>", PROGRAM % program + "<style>", 1), encoding="utf-8"
        )
        Path(folder, "owner.html").write_text(OWNER % (width, height), encoding="utf-8")
        dom = browse(Path(folder), "--dump-dom", f"--window-size={max(width, 500)},{height}")
    content = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)
    assert content is not None, dom[:2000]
    answer = json.loads(unescape(content[1]))
    assert answer["faults"] == []
    return answer["found"]


def browse(folder: Path, *options: str) -> str:
    """Return what chromium prints of `owner.html` in a folder."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=20000", *options]
    result = subprocess.run([*command, (folder / "owner.html").as_uri()], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout
