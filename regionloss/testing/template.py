"""Writes a new plugin's project from the files in `regionloss/templates/plugin`."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from regionloss.errors import InputError, expected
from regionloss.hooks.catalogue import catalogue
from regionloss.hooks.records import RegionKind, owners

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
WANTED = "a lower-case letter, then letters, digits and single dashes"
KIND = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
AUTHOR = re.compile(r"\s*([^<>]*?)\s*(?:<([^<>@\s]+@[^<>@\s]+)>)?\s*")
PREFIX = "regionloss-"
DETECTOR, BACKBONE = "colour", "edges"  # what the placeholders are
#: Plugins that are made with regionloss, and the SDK itself.
RESERVED = ("core", "regionloss", "insighttok", "text", "face")


def write_plugin(
    name: str, out: Path, kind: str = "", author: str = "", detector: str = DETECTOR, backbone: str = BACKBONE
) -> tuple[Path, list[Path], list[str]]:
    """Write the project of a new plugin.

    Args:
        name: Name of the plugin in recipes.
        out: Folder in which the project's own is made.
        kind: Kind of its regions; empty for `name`.
        author: `Name <address>`, or empty.
        detector: Name of its detector in recipes; the class is named after it.
        backbone: Name of its backbone, and of the term of the two.

    Returns:
        The project's folder, its files, and notes for the user.

    Raises:
        InputError: A name that cannot be, or a folder that exists. Nothing is written then.
    """
    words, notes = _words(name, kind, author)
    words |= _parts(detector, backbone)
    folder = out / words["distribution"]
    if folder.exists() or folder.is_symlink():
        advice = "Choose another name, or another place with --out."
        raise InputError(f"{folder}: it exists already, and nothing is overwritten. {advice}")
    texts = {path: Template(text).substitute(words) for path, text in _templates(words)}
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder, [folder / path for path in texts], notes


def _words(name: str, kind: str, author: str) -> tuple[dict[str, str], list[str]]:
    """Check what the user said; return what the templates fill in, and notes."""
    _check_name(name)
    kind = kind or name
    if not KIND.fullmatch(kind):
        raise InputError(expected("--kind", "lower-case letters and digits, '-', '_' or '.' between them", repr(kind)))
    title = name.replace("-", " ")
    same = [r for r in catalogue().records if isinstance(r, RegionKind) and r.name == kind and r.plugin != name]
    known = any(record.plugin == "core" for record in same)
    hook = (files("regionloss") / "templates" / "plugin" / "kind_hook.tmpl").read_text(encoding="utf-8")
    words = {
        "name": name,
        "distribution": PREFIX + name,
        "module": (PREFIX + name).replace("-", "_"),
        "kind": kind,
        "title": title,
        "Title": title[0].upper() + title[1:],
        "description": json.dumps(f"Regions of kind '{kind}' for regionloss: detector, features, term."),
        "authors": _authors(author),
        "version": ".".join(importlib.metadata.version("regionloss").split(".")[:2]),
        "kind_import": "" if known else "RegisterRegionKind, ",
        "kind_hook": "" if known else Template(hook).substitute(kind=kind, kind_summary=json.dumps(f"one of {title}")),
    }
    taken = [plugin for plugin in catalogue().plugins if plugin.name == name]
    advice = "Choose another name if both are to be installed together."
    notes = [f"{plugin} is installed and has this name too. {advice}" for plugin in taken]
    if same:
        shared = "The two share it: say nothing of its keypoints, or the same."
        notes.append(f"region kind '{kind}' is known from {owners(same)}. {shared}")
    return words, notes


def _parts(detector: str, backbone: str) -> dict[str, str]:
    """Return the names of the two components, and of their classes."""
    for option, name in (("--detector", detector), ("--backbone", backbone)):
        if not NAME.fullmatch(name):
            raise InputError(expected(option, WANTED, repr(name)))
    return {
        "detector": detector,
        "backbone": backbone,
        "detector_class": f"{_camel(detector)}Detector",
        "backbone_class": "EdgeBackbone" if backbone == BACKBONE else f"{_camel(backbone)}Backbone",
    }


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))


def _check_name(name: str) -> None:
    if name.startswith((PREFIX, "regionloss_")) and len(name) > len(PREFIX):
        raise InputError(expected("name", "the plugin's name alone", repr(name), f"Write '{name[len(PREFIX) :]}'."))
    if not NAME.fullmatch(name):
        close = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        advice = f"Write '{close}'." if NAME.fullmatch(close) else "Begin it with a letter." if close else ""
        raise InputError(expected("name", WANTED, repr(name), advice))
    if name in RESERVED:
        raise InputError(f"name: '{name}' belongs to a plugin that comes with regionloss. Choose another one.")


def _authors(author: str) -> str:
    if not author.strip():
        return ""
    found = AUTHOR.fullmatch(author)
    if found is None:
        raise InputError(expected("--author", "'Name <address>' or a name", repr(author)))
    parts = {"name": found[1], "email": found[2]}
    return (
        f"authors = [{{ {', '.join(f'{k} = {json.dumps(v, ensure_ascii=False)}' for k, v in parts.items() if v)} }}]\n"
    )


def _templates(words: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each file's path in the project and its template."""
    names = {
        "src/package": f"src/{words['module']}",
        "gitignore": ".gitignore",
        "recipes/terms": f"recipes/{words['name']}",
    }
    for path, file in _walk(files("regionloss") / "templates" / "plugin"):
        if path != "kind_hook.tmpl":
            for old, new in names.items():
                path = new + path[len(old) :] if path.startswith(old) else path
            yield path.removesuffix(".tmpl"), file.read_text(encoding="utf-8")


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        path = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _walk(entry, f"{path}/")
        elif path.endswith(".tmpl"):
            yield path, entry
