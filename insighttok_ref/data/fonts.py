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
    installed_by: str = "regionloss[ref]"

    def paths(self) -> list[Path]:
        """Return where the files are.

        Raises:
            PluginError: The package is missing or lacks a file.
        """
        return [package_file(self.package, f"{self.folder}/{name}", self.installed_by) for name in self.files]


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
#: 65,535 glyphs; 15 MB, so it is installed by whoever asks for it: pip install 'regionloss[scripts]'.
EASTERN_FONTS = (
    Asset("noto_cjk_sans_otc", ".", ("NotoSansCJK-Regular.ttc",), "OFL-1.1", "Noto Sans CJK", "regionloss[scripts]"),
)
ENGLISH = "english"
WORDS = Asset("mnemonic", "wordlist", ("english.txt",), "MIT", "2,048 English words of 3 to 8 letters (BIP-39)")
WESTERN = (ENGLISH, "french", "spanish", "italian", "portuguese", "czech", "turkish", "russian")
EASTERN = ("japanese", "korean", "chinese_simplified", "chinese_traditional")
#: What a list of words may be named by, instead of a file.
LANGUAGES = (*WESTERN, *EASTERN)


def language_of(words: Path | None) -> str:
    """Return the language that a user names instead of a file of words; empty where it is a file."""
    if words is None:
        return ENGLISH
    return str(words) if str(words) in LANGUAGES and not words.exists() else ""


def fonts(language: str = ENGLISH) -> list[Path]:
    """Return the font files that draw a language, in a fixed order."""
    return [path for asset in (EASTERN_FONTS if language in EASTERN else FONTS) for path in asset.paths()]


def words(language: str = ENGLISH) -> list[str]:
    """Return the 2,048 words of a language (BIP-39), in a fixed order; of Chinese, characters."""
    return package_file(WORDS.package, f"{WORDS.folder}/{language}.txt").read_text(encoding="utf-8").split()


def package_file(package: str, name: str, installed_by: str = "regionloss[ref]") -> Path:
    """Return a file inside an installed package, without importing the package.

    Raises:
        PluginError: The package is missing or has no such file.
    """
    spec = importlib.util.find_spec(package)
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
    if folder is None or not (folder / name).is_file():
        distribution = package.replace("_", "-")
        advice = f"Install the reference build with what it needs: pip install '{installed_by}'."
        raise PluginError(f"{distribution}: expected the file {name} in the installed package, got none. {advice}")
    return folder / name
