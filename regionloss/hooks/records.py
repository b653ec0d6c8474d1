"""What a plugin registers, as frozen records that know where they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from regionloss.errors import InputError, PluginError, expected

#: How the version of a plugin that is one file begins: it is the hash of the file.
FILE_VERSION = "sha256:"
#: Hook -> kind of component. Terms, region kinds and weights have records of their own.
COMPONENT_KINDS = {
    "register_detectors": "detector",
    "register_region_extractors": "extractor",
    "register_feature_backbones": "backbone",
    "register_distances": "distance",
    "register_area_weightings": "weighting",
    "register_judges": "judge",
    "register_autoencoders": "autoencoder",
    "register_hosts": "host",
    "register_trainers": "trainer",
    "register_tokenizers": "tokenizer",
    "register_quantizers": "quantizer",
    "register_discriminators": "discriminator",
    "register_losses": "loss",
    "register_commands": "command",
}


@dataclass(frozen=True)
class Plugin:
    """A plugin: its name, the distribution that brought it, and the file it was read from, if it was one."""

    name: str
    distribution: str
    version: str
    file: Path | None = None

    def __str__(self) -> str:
        return f"plugin '{self.name}' ({self.distribution} {self.version})"


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that could not be used, and the sentence that says why."""

    plugin: Plugin
    sentence: str
    error: BaseException | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.plugin} is broken: {self.sentence}"


@dataclass(frozen=True)
class SlowPlugin:
    """A plugin that makes every command wait: what its module and hooks took, and whether they imported torch."""

    plugin: Plugin
    seconds: float
    imported_torch: bool

    def __str__(self) -> str:
        torch = ", and imported torch" if self.imported_torch else ""
        advice = "Import what is heavy in the modules that its targets name, not in the one with the hooks."
        return f"{self.plugin} is slow: loading its hooks took {self.seconds:.1f} s{torch}. {advice}"


@dataclass(frozen=True, kw_only=True)
class Registered:
    """What all records share: a name, and where it comes from."""

    name: str
    plugin: str
    distribution: str
    version: str

    @property
    def canonical(self) -> str:
        """`plugin/name`, which never becomes ambiguous."""
        return f"{self.plugin}/{self.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """All that it answers to."""
        return (self.canonical, self.name, *getattr(self, "formerly", ()))


@dataclass(frozen=True, kw_only=True)
class Component(Registered):
    """A component: everything that a listing shows, and the string that says where its class is."""

    kind: str
    target: str
    licence: str
    summary: str
    weights: tuple[str, ...] = ()
    extra: str = ""
    file: Path | None = None
    family: str = ""
    formerly: tuple[str, ...] = ()

    def member(self, name: str) -> Member | None:
        """Return the member of this family that a name such as `timm/resnet50` means; None where it means none."""
        for own in self.names if self.family else ():
            if name.startswith(f"{own}/") and (rest := name[len(own) + 1 :]):
                said = vars(self) | {"name": f"{self.name}/{rest}", "formerly": (name,), "family": ""}
                return Member(**said, named={self.family: rest})
        return None

    def options(self, given: Mapping[str, object]) -> dict[str, object]:
        """Return options of its constructor with those that its name sets."""
        return dict(given)

    def __str__(self) -> str:
        return f"{self.kind} '{self.canonical}' ({self.distribution} {self.version})"


@dataclass(frozen=True, kw_only=True)
class Member(Component):
    """A component of a family: its name sets options."""

    named: Mapping[str, str] = field(hash=False)

    def options(self, given: Mapping[str, object]) -> dict[str, object]:
        """Return options of its constructor with those that its name sets.

        Raises:
            InputError: One of them is given as well, with another value.
        """
        for option, value in self.named.items():
            if given.get(option, value) != value:
                got = f"{option}={given[option]!r}"
                raise InputError(expected(str(self), f"no other {option} than its name says", got, "Leave one out."))
        return {**given, **self.named}


@dataclass(frozen=True, kw_only=True)
class TermRecord(Registered):
    """A named combination of detector, extractor, backbone, distance and weighting."""

    kind: str
    extractor: str
    backbone: str
    detector: str
    distance: str
    weighting: str
    options: Mapping[str, Mapping[str, object]]
    weight: float
    default: bool
    licence: str
    summary: str


@dataclass(frozen=True, kw_only=True)
class RegionKind(Registered):
    """A kind of region: the names of its keypoints, and those that swap when an image is mirrored."""

    summary: str
    keypoints: tuple[str, ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class WeightRecord(Registered):
    """A weight file: its hash, size, licence and where it can be had."""

    filename: str
    sha256: str
    size: int
    source: str
    licence: str
    summary: str
    packaged: bool = False
    needs_conversion: bool = False
    formerly: tuple[str, ...] = ()


def owners(things: Iterable[Plugin | Registered]) -> str:
    """Return the distributions that plugins, or what they registered, come from: `a 1.0 and b 2.0`."""
    return " and ".join(sorted({f"{thing.distribution} {thing.version}" for thing in things}))


def clash_advice(things: Iterable[Plugin | Registered]) -> str:
    """Return what to do about things of one name; a recipe need not name a plugin file that is installed as well."""
    files = sorted({Path(thing.distribution).name for thing in things if thing.version.startswith(FILE_VERSION)})
    start = f"Leave out 'plugins: [./{files[0]}]', or uninstall" if files else "Uninstall"
    return f"{start} or rename one of them: recipes cannot tell them apart."


def agreed(name: str, kinds: Sequence[RegionKind]) -> RegionKind:
    """Return what all registrations of one kind say.

    One that states no keypoints leaves them to the others: a plugin that finds boxes works alone, and beside one that
    finds keypoints.

    Args:
        name: Name of the kind.
        kinds: One or more registrations of it.

    Raises:
        PluginError: Two of them state different keypoints or flip pairs.
    """
    stated = [kind for kind in kinds if kind.keypoints]
    for other in stated[1:]:
        first, what = stated[0], ""
        if other.keypoints != first.keypoints:
            what = f"keypoints ({len(first.keypoints)} and {len(other.keypoints)})"
        elif _pairs(other) != _pairs(first):
            what = "flip pairs"
        if what:
            advice = "Use one of the two, or ask their authors to agree; another kind needs another name."
            distributions = owners([first, other])
            raise PluginError(f"region kind '{name}' has different {what} in {distributions}. {advice}")
    return (stated or kinds)[0]


def _pairs(kind: RegionKind) -> set[frozenset[int]]:
    return {frozenset(pair) for pair in kind.flip_pairs}
