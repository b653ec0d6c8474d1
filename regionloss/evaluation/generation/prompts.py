"""Prompts of benchmarks of generators, and where each looks for the images that were made from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regionloss.errors import InputError, expected, reason_of


@dataclass(frozen=True)
class Prompt:
    """What a generator is given.

    Args:
        key: Name of the prompt in its benchmark.
        text: The words of the prompt.
        pattern: Path of an image below the folder of a generator's images, with `{sample}`.
        first: Number of the first sample.
        kind: What the benchmark calls its group; empty where it has none.
        words: Texts that the image is to show.
        record: All that the benchmark says of it.
        beside: Path of the file in which the benchmark's program looks for `record`; empty where it looks for none.
    """

    key: str
    text: str
    pattern: str
    first: int = 0
    kind: str = ""
    words: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    beside: str = ""

    @property
    def tiled(self) -> bool:
        """Whether the samples of a prompt are one image, side by side."""
        return "{sample" not in self.pattern

    def places(self, samples: int) -> list[str]:
        """Return the paths of so many images of this prompt, where the benchmark's own program looks for them."""
        return [self.pattern.format(sample=self.first + number) for number in range(samples)]


def read_geneval(path: Path) -> list[Prompt]:
    """Return the prompts of GenEval's `evaluation_metadata.jsonl`.

    Its program looks for images in `00000/samples/00000.png`, and for `record` in `00000/metadata.jsonl`.

    Raises:
        InputError: It is no such file.
    """
    found = []
    for number, one in enumerate(read_lines(path)):
        key = f"{number:05d}"
        pattern, beside = f"{key}/samples/{{sample:05d}}.png", f"{key}/metadata.jsonl"
        text, tag = text_of(path, one, "prompt"), text_of(path, one, "tag")
        found.append(Prompt(key, text, pattern, 0, tag, record=one, beside=beside))
    return found


def read_dpg(folder: Path) -> list[Prompt]:
    """Return the prompts of DPG-Bench's folder, a text file each.

    Its program looks for one image a prompt, `name.png`: a grid where several samples were made.

    Raises:
        InputError: There are no text files, or one cannot be read.
    """
    files = sorted(folder.glob("*.txt"), key=lambda file: (not file.stem.isdigit(), int_or_zero(file.stem), file.stem))
    if not files:
        raise InputError(expected(str(folder), "prompts of DPG-Bench, a text file each", "none"))
    try:
        texts = {file.stem: file.read_text(encoding="utf-8").strip() for file in files}
    except (OSError, ValueError) as error:
        raise InputError(expected(str(folder), "text files in UTF-8", reason_of(error))) from error
    return [Prompt(key, text, f"{escaped(key)}.png") for key, text in texts.items()]


def read_long_text(path: Path) -> list[Prompt]:
    """Return the prompts of LongText-Bench's `text_prompts.jsonl` or `text_prompts_zh.jsonl`.

    Its program looks for images in `0000_1.png` to `0000_4.png`.

    Raises:
        InputError: It is no such file.
    """
    found = []
    for one in read_lines(path):
        number, words = one.get("prompt_id"), one.get("text", [])
        if not isinstance(number, int | str) or not str(number).isdigit():
            raise InputError(expected(str(path), "a number as 'prompt_id' in each line", repr(number)[:60]))
        words = [words] if isinstance(words, str) else words
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise InputError(expected(str(path), "texts as 'text' in each line", repr(words)[:60]))
        kind = str(one.get("category", ""))
        text = text_of(path, one, "prompt")
        found.append(Prompt(str(number), text, f"{int(number):04d}_{{sample}}.png", 1, kind, tuple(words), one))
    return found


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON lines file.

    Raises:
        InputError: It cannot be read, is empty, or has another line; the sentence names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(expected(str(path), "lines of JSON", reason_of(error))) from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            one = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(expected(f"{path}, line {number}", "an object of JSON", reason_of(error))) from error
        if not isinstance(one, dict):
            raise InputError(expected(f"{path}, line {number}", "an object of JSON", type(one).__name__))
        found.append(one)
    if not found:
        raise InputError(expected(str(path), "lines of JSON", "none"))
    return found


def text_of(path: Path, one: Mapping[str, Any], name: str) -> str:
    """Return a text of a line. Raises InputError where there is none."""
    value = one.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InputError(expected(str(path), f"a text as '{name}' in each line", repr(value)[:60]))
    return value


def int_or_zero(name: str) -> int:
    """Return the number that a name is, 0 for others."""
    return int(name) if name.isdigit() else 0


def escaped(name: str) -> str:
    """Return a name as a pattern holds it."""
    return name.replace("{", "{{").replace("}", "}}")


def together(words: Sequence[str]) -> str:
    """Return texts one behind the other, without any white space: how lines break is not judged."""
    return "".join("".join(words).split())
