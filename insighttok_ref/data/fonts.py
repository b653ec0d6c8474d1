"""Fonts and words that installed packages bring; nothing of the system is used, so every machine draws the same."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from regionloss.errors import PluginError


@dataclass(frozen=True)
class Asset:
    """Files of an installed package: where, which, and under what licence."""

    package: str
    folder: str
    files: tuple[str, ...]
    licence: str
    summary: str

    def paths(self) -> list[Path]:
        """Return where the files are.

        Raises:
            PluginError: The package is missing or lacks a file.
        """
        return [package_file(self.package, f"{self.folder}/{name}") for name in self.files]


def _styles(family: str, *styles: str) -> tuple[str, ...]:
    return tuple(f"{family}{style}.ttf" for style in styles)


MATPLOTLIB_FONTS = "mpl-data/fonts/ttf"
FONTS = (
    Asset(
        "matplotlib",
        MATPLOTLIB_FONTS,
        _styles("DejaVu", "Sans", "Sans-Bold", "SansMono", "SansMono-Bold", "Serif", "Serif-Bold"),
        "Bitstream-Vera",
        "DejaVu Sans, Sans Mono, Serif",
    ),
    Asset(
        "matplotlib",
        MATPLOTLIB_FONTS,
        _styles("STIXGeneral", "", "Bol", "Italic"),
        "OFL-1.1",
        "STIX General",
    ),
    Asset(
        "font_source_sans_pro",
        "files",
        _styles("SourceSansPro-", "Regular", "It", "Semibold", "Bold", "Black"),
        "OFL-1.1",
        "Source Sans Pro",
    ),
    Asset(
        "font_source_serif_pro",
        "files",
        _styles("SourceSerifPro-", "Regular", "It", "Semibold", "Bold"),
        "OFL-1.1",
        "Source Serif Pro",
    ),
    Asset("font_caladea", "files", _styles("Caladea-", "Regular", "Bold", "Italic"), "Apache-2.0", "Caladea"),
)
WORDS = Asset("mnemonic", "wordlist", ("english.txt",), "MIT", "2,048 English words of 3 to 8 letters (BIP-39)")


def fonts() -> list[Path]:
    """Return the font files, in a fixed order."""
    return [path for asset in FONTS for path in asset.paths()]


def words() -> list[str]:
    """Return the word list, in a fixed order."""
    return WORDS.paths()[0].read_text(encoding="utf-8").split()


def package_file(package: str, name: str) -> Path:
    """Return a file inside an installed package, without importing the package.

    Raises:
        PluginError: The package is missing or has no such file.
    """
    spec = importlib.util.find_spec(package)
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
    if folder is None or not (folder / name).is_file():
        distribution = package.replace("_", "-")
        advice = "Install the reference build with what it needs: pip install 'regionloss[ref]'."
        raise PluginError(f"{distribution}: expected the file {name} in the installed package, got none. {advice}")
    return folder / name
