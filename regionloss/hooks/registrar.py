"""The `register` functions that hooks receive: they check what a plugin says and keep it as records."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from regionloss.errors import PluginError, expected
from regionloss.hooks.records import (
    COMPONENT_KINDS,
    Component,
    Plugin,
    RegionKind,
    Registered,
    TermRecord,
    WeightRecord,
)
from regionloss.hooks.specs import RegisterComponent, RegisterTarget
from regionloss.hooks.term_parts import PARTS

NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
SOURCE = re.compile(r"pip:[^:=]+==[^:]+:.+|npm:.+@[^:]+:.+|https://.+|path:.*")


class Registrar:
    """Collects the records of one plugin; `for_hook` gives each hook its own `register`."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin
        self.records: list[Registered] = []

    def for_hook(self, hook: str) -> Callable[..., None]:
        """Return the `register` function of `hook`, as typed in `specs.py`."""
        if hook in COMPONENT_KINDS:
            kind = COMPONENT_KINDS[hook]
            return self._component(kind) if kind in PARTS else self._target(kind)
        others: dict[str, Callable[..., None]] = {
            "register_terms": self._term,
            "register_region_kinds": self._region_kind,
            "register_weights": self._weights,
        }
        return others[hook]

    def _origin(self, name: str, **lines: str) -> dict[str, str]:
        """Check the name and the one-line texts that every record has; return the provenance fields."""
        if not isinstance(name, str) or not NAME.fullmatch(name):
            wanted = "a name of lower-case letters, digits, '-', '_' and '.'"
            raise PluginError(expected("name", wanted, repr(name)))
        for key, text in lines.items():
            if not isinstance(text, str) or not text.strip() or "\n" in text:
                raise PluginError(expected(f"{name}: {key}", "one line of text", repr(text)))
        plugin = self.plugin
        return {
            "name": name,
            "plugin": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
        }

    def _keep(self, record: Registered) -> None:
        def key(r: Registered) -> tuple[object, ...]:
            return type(r), getattr(r, "kind", None) if isinstance(r, Component) else None, r.name

        if any(key(other) == key(record) for other in self.records):
            raise PluginError(f"'{record.name}' is registered twice. Give the two different names.")
        self.records.append(record)

    def _component(self, kind: str) -> RegisterComponent:
        def register(
            name: str,
            target: str,
            *,
            licence: str,
            summary: str,
            weights: Sequence[str] = (),
            extra: str = "",
        ) -> None:
            origin = self._origin(name, summary=summary, licence=licence)
            if not isinstance(target, str) or not TARGET.fullmatch(target):
                advice = "Hooks name their classes and do not import them."
                raise PluginError(expected(f"{name}: target", "a string 'package.module:Name'", repr(target), advice))
            if isinstance(weights, str):
                raise PluginError(expected(f"{name}: weights", "a list of names", repr(weights)))
            self._keep(
                Component(
                    **origin, kind=kind, target=target, licence=licence, summary=summary,
                    weights=tuple(weights), extra=extra, file=self.plugin.file,
                )
            )  # fmt: skip

        return register

    def _target(self, kind: str) -> RegisterTarget:
        component = self._component(kind)

        def register(
            name: str,
            target: str,
            *,
            summary: str,
            licence: str = "Apache-2.0",
            weights: Sequence[str] = (),
            extra: str = "",
        ) -> None:
            component(name, target, licence=licence, summary=summary, weights=weights, extra=extra)

        return register

    def _term(
        self,
        name: str,
        *,
        kind: str,
        extractor: str,
        backbone: str,
        detector: str = "",
        distance: str = "squared-l2",
        weighting: str = "area",
        options: Mapping[str, Mapping[str, object]] | None = None,
        default: bool = False,
        licence: str,
        summary: str,
    ) -> None:
        origin = self._origin(name, summary=summary, licence=licence)
        for part in options or {}:
            if part not in PARTS:
                raise PluginError(expected(f"{name}: options", f"keys among {', '.join(PARTS)}", repr(part)))
        if default and any(isinstance(r, TermRecord) and r.default for r in self.records):
            raise PluginError(f"{name}: expected one term with default=True in a plugin, got two.")
        frozen = {part: MappingProxyType(dict(values)) for part, values in (options or {}).items()}
        self._keep(
            TermRecord(
                **origin, kind=kind, extractor=extractor, backbone=backbone, detector=detector,
                distance=distance, weighting=weighting, options=MappingProxyType(frozen), default=default,
                licence=licence, summary=summary,
            )
        )  # fmt: skip

    def _region_kind(
        self,
        name: str,
        *,
        summary: str,
        keypoints: Sequence[str] = (),
        flip_pairs: Sequence[tuple[int, int]] = (),
    ) -> None:
        origin = self._origin(name, summary=summary)
        pairs = tuple((int(left), int(right)) for left, right in flip_pairs)
        numbers = [number for pair in pairs for number in pair]
        if len(set(numbers)) != len(numbers) or not set(numbers) <= set(range(len(keypoints))):
            wanted = f"pairs of different numbers below {len(keypoints)}"
            raise PluginError(expected(f"{name}: flip_pairs", wanted, repr(pairs)))
        self._keep(RegionKind(**origin, summary=summary, keypoints=tuple(keypoints), flip_pairs=pairs))

    def _weights(
        self,
        name: str,
        *,
        filename: str,
        sha256: str,
        size: int,
        source: str,
        licence: str,
        summary: str,
        packaged: bool = False,
        needs_conversion: bool = False,
    ) -> None:
        origin = self._origin(name, summary=summary, licence=licence, filename=filename)
        if sha256 and not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise PluginError(expected(f"{name}: sha256", "64 hexadecimal digits or ''", repr(sha256)))
        if not SOURCE.fullmatch(source):
            wanted = "'pip:NAME==VERSION:MEMBER', 'npm:NAME@VERSION:MEMBER', 'https://...' or 'path:'"
            raise PluginError(expected(f"{name}: source", wanted, repr(source)))
        self._keep(
            WeightRecord(
                **origin, filename=filename, sha256=sha256, size=size, source=source, licence=licence,
                summary=summary, packaged=packaged, needs_conversion=needs_conversion,
            )
        )  # fmt: skip
