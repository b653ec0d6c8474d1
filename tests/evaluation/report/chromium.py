"""A real browser without a screen: a page is opened, a program acts on it, and what it found is read back."""

from __future__ import annotations

import json
import queue
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage")
#: Runs in a page that a narrow frame may hold: what it returns goes to the frame's owner, who tells the test.
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
OWNER = """<!doctype html><body style="margin:0">
<script>addEventListener("message", (e) => fetch("%s", {method: "POST", mode: "no-cors", body: e.data}));</script>
<iframe src="page.html" style="border:0;width:%dpx;height:%dpx"></iframe>"""
PATIENCE = 120  # seconds, on a machine that others keep busy


class Ear(BaseHTTPRequestHandler):
    """Keeps what the browser tells."""

    def do_POST(self) -> None:
        self.server.told.put(self.rfile.read(int(self.headers["Content-Length"])))  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def in_browser(page: Path, program: str, width: int = 1280, height: int = 900) -> Any:
    """Return what a program (the body of an async function) returns in a page, opened from disk at a size.

    The page's own policy would refuse the program: it is replaced by one that allows scripts, and still no network.
    """
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", text, count=1)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, HTTPServer(("127.0.0.1", 0), Ear) as server:
        server.told = queue.Queue()  # type: ignore[attr-defined]
        Thread(target=server.serve_forever, daemon=True).start()
        Path(folder, "page.html").write_text(text.replace("<style>", PROGRAM % program + "<style>", 1), "utf-8")
        Path(folder, "owner.html").write_text(OWNER % (f"http://127.0.0.1:{server.server_port}", width, height))
        with chromium(Path(folder), f"--window-size={max(width, 500)},{height}"):
            answer = json.loads(server.told.get(timeout=PATIENCE))  # type: ignore[attr-defined]
        server.shutdown()
    assert answer["faults"] == []
    return answer["found"]


@contextmanager
def chromium(folder: Path, *options: str) -> Iterator[None]:
    """Keep `owner.html` of a folder open."""
    assert CHROMIUM is not None
    kept = (f"--user-data-dir={folder / 'profile'}", "--remote-debugging-port=0", "--no-first-run")
    command = [CHROMIUM, *OPTIONS, *kept, *options, (folder / "owner.html").as_uri()]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)
