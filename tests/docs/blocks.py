"""Fenced blocks of Markdown pages, and how each language is run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from regionloss.cli.main import app
from regionloss.errors import WeightsError

FENCE = re.compile(r"^( *)(`{3,}|~{3,})([^`]*)$")
NOT_RUN = re.compile(r"not ?run", re.IGNORECASE)
EXIT = re.compile(r"exits? with (\d)")
FILE_NAME = re.compile(r"^# ([\w-]+(?:/[\w-]+)*\.(?:py|yaml|toml))$")
#: Lines that a shell runs, in the page's folder; `regionloss` alone is quicker without one.
SHELL = re.compile(r"(PYTHONPATH=\w+ regionloss|python -m (pytest|build|pip install .*--no-deps)) ")
#: Shown, not run: what a program prints, and pictures in words.
OUTPUT = {"text", "output", ""}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, whether the page says that it is not run, its text, and its first line."""

    language: str
    marked: bool
    text: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    position, comment = 0, ""
    while position < len(lines):
        opening = FENCE.match(lines[position])
        if opening is None:
            comment = lines[position] if lines[position].strip() else comment
            position += 1
            continue
        indent, fence, info = opening.groups()
        end = next((i for i in range(position + 1, len(lines)) if lines[i].strip() == fence), None)
        assert end is not None, f"{page}:{position + 1}: the block has no end"
        text = "\n".join(line.removeprefix(indent) for line in lines[position + 1 : end])
        remark = comment if comment.strip().startswith("<!--") else ""
        language, _, rest = info.strip().partition(" ")
        found.append(Block(language, bool(NOT_RUN.search(f"{rest} {remark}")), text, position + 1))
        position, comment = end + 1, ""
    return found


class Runner:
    """Runs the blocks of one page, one after another: one folder, one namespace."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page, self.folder = page, folder
        self.names: dict[str, Any] = {"__name__": "__page__"}

    def run(self, block: Block) -> None:
        """Run a block, or fail with its place."""
        if block.marked or block.language in OUTPUT:
            return
        named = FILE_NAME.match(block.text.partition("\n")[0])
        if named:
            (self.folder / named[1]).write_text(block.text + "\n", encoding="utf-8")
        where = f"{self.page}:{block.line}"
        if block.language == "python":
            code = compile("\n" * block.line + block.text, str(self.page), "exec")
            if not named:
                self.execute(code)
        elif block.language in ("console", "bash", "sh", "shell"):
            self.commands(block, where)
        elif block.language in ("yaml", "yml"):
            self.recipe(block, named[1] if named else f"block-{block.line}.yaml", where)
        elif block.language == "toml":
            tomllib.loads(block.text)
        else:
            pytest.fail(f"{where}: nobody knows how to run '{block.language}'. Use 'text' for what is only shown.")

    def execute(self, code: Any) -> None:
        """Run Python; missing weights are a reason to skip, unless they are required."""
        try:
            exec(code, self.names)
        except WeightsError as error:
            if os.environ.get("REGIONLOSS_REQUIRE_WEIGHTS") == "1":
                raise
            pytest.skip(str(error))

    def commands(self, block: Block, where: str) -> None:
        """Run the lines that begin with `regionloss`; every other one must say that it is not run."""
        lines = block.text.replace("\\\n", " ").splitlines()
        if lines and NOT_RUN.search(lines[0]) and not lines[0].startswith("regionloss "):
            return  # what the rest needs was not made
        for line in lines:
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if not words or NOT_RUN.search(line):
                continue
            if SHELL.match(line):
                self.shell(line, where)
                continue
            assert words[0] == "regionloss", f"{where}: '{line}' is not run: say so in a comment behind it"
            code = EXIT.search(line)
            result = CliRunner().invoke(app, words[1:], env={"COLUMNS": "200"})
            shown = f"{where}: {line}\n{result.output}"
            if "not found in" in result.output and os.environ.get("REGIONLOSS_REQUIRE_WEIGHTS") != "1":
                pytest.skip(result.output)
            assert result.exit_code == (int(code[1]) if code else 0), shown
            assert "Traceback" not in result.output, shown

    def shell(self, line: str, where: str) -> None:
        """Run a line with this interpreter's programs; it has to succeed."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        variables = {**os.environ, "PATH": path, "COLUMNS": "200"}
        result = subprocess.run(line, shell=True, cwd=self.folder, env=variables, capture_output=True, text=True)
        assert result.returncode == 0, f"{where}: {line}\n{result.stdout}\n{result.stderr}"

    def recipe(self, block: Block, name: str, where: str) -> None:
        """Check a recipe or a file of terms; a piece of one is only read."""
        data = yaml.safe_load(block.text)
        if isinstance(data, dict) and "version" in data and ("terms" in data or "trainer" in data):
            (self.folder / name).write_text(block.text + "\n", encoding="utf-8")
            result = CliRunner().invoke(app, ["check", str(self.folder / name)])
            assert result.exit_code == 0, f"{where}:\n{result.output}"
