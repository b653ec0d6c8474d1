"""Sets of prompts by name: the paper's of crowds and of quotes, and those of benchmarks."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

from regionloss.errors import InputError, UnknownNameError, did_you_mean, expected, reason_of
from regionloss.evaluation.generation.prompts import Prompt, read_dpg, read_geneval, read_lines, read_long_text, text_of

#: Quotes are so many characters long, and so many of them are drawn.
SHORTEST, LONGEST, QUOTES = 100, 300, 200
QUOTE = "The image shows bold, clear text on a white background that reads: “{quote}”"
#: Numbers of people, how they stand, what they wear, where they are; in the paper fifteen, of up to twenty people.
CROWDS = (
    ("Five", "standing side by side", "casual clothing such as jeans and sweaters", "in a sunny park"),
    ("Six", "sitting around a long table", "business suits and blouses", "in a bright meeting room"),
    ("Seven", "standing in two rows", "sportswear in matching colors", "on the steps of a stadium"),
    ("Eight", "sitting on wooden benches", "summer dresses and light shirts", "in a garden"),
    ("Nine", "standing close together", "winter coats and scarves", "on a snowy street"),
    ("Ten", "in two rows, six standing behind and four crouching in front", "casual clothing", "in a neutral studio"),
    ("Eleven", "standing in a half circle", "football jerseys", "on a green pitch"),
    ("Twelve", "sitting in two rows of chairs", "formal evening wear", "in a concert hall"),
    ("Thirteen", "standing on a staircase", "professional office clothing", "in the lobby of an office building"),
    ("Fourteen", "sitting on the grass", "colorful T-shirts", "at a picnic by a lake"),
    ("Fifteen", "standing in three rows", "graduation gowns and caps", "in front of a university building"),
    ("Sixteen", "sitting and standing around a sofa", "cozy knitwear", "in a living room"),
    ("Seventeen", "standing shoulder to shoulder", "aprons and chef's jackets", "in a restaurant kitchen"),
    ("Eighteen", "in three rows, the first of them sitting", "doctors' white coats and scrubs", "in a hospital hall"),
    ("Twenty", "standing in four rows", "varied casual and professional clothing", "in a well-lit indoor hall"),
)
CROWD = (
    "{count} people pose for a group portrait {where}, {how}, all of them wearing {clothes}. Women and men of "
    "different ages and ethnic backgrounds look directly into the camera with relaxed, natural expressions, and every "
    "face is in focus."
)


def crowds() -> list[Prompt]:
    """Return prompts of group portraits, of whose faces the paper measures the quality.

    The paper has fifteen, and prints one: these are of the same kind, not the same.

    Source: InsightTok, section F.2.1.
    """
    texts = [CROWD.format(count=count, how=how, clothes=clothes, where=where) for count, how, clothes, where in CROWDS]
    return [
        Prompt(f"{number:02d}", text, f"{number:02d}_{{sample}}.png", kind="crowd") for number, text in enumerate(texts)
    ]


def read_quotes(path: Path, count: int = QUOTES, seed: int = 0) -> list[Prompt]:
    """Return prompts of long texts on a white background: quotes of 100 to 300 characters, drawn from a file.

    Args:
        path: A text file with a quote in each line, or JSON lines with a text as `quote`.
        count: The most that are drawn.
        seed: Decides which are drawn.

    Raises:
        InputError: It cannot be read, or has no such quotes.

    Source: InsightTok, section F.2.2, whose 200 quotes are of Abirate/english_quotes.
    """
    if path.suffix in (".jsonl", ".json"):
        found = [text_of(path, one, "quote") for one in read_lines(path)]
    else:
        try:
            found = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            raise InputError(expected(str(path), "a quote in each line", reason_of(error))) from error
    bare = dict.fromkeys(" ".join(quote.split()).strip('“”"') for quote in found)
    fitting = [quote for quote in bare if SHORTEST <= len(quote) <= LONGEST]
    if not fitting:
        wanted = f"quotes of {SHORTEST} to {LONGEST} characters, one a line"
        raise InputError(expected(str(path), wanted, f"none among {len(bare)} lines"))
    drawn = random.Random(seed).sample(fitting, min(count, len(fitting)))
    return [
        Prompt(f"{number:03d}", QUOTE.format(quote=quote), f"{number:03d}_{{sample}}.png", kind="quote", words=(quote,))
        for number, quote in enumerate(drawn)
    ]


#: Readers of a file or a folder by the name of what is in it.
SETS: Mapping[str, Callable[[Path], list[Prompt]]] = {
    "quotes": read_quotes,
    "geneval": read_geneval,
    "dpg": read_dpg,
    "longtext": read_long_text,
}


def prompt_set(said: str) -> list[Prompt]:
    """Return the prompts of `crowd`, or of `NAME=PATH` with a name of `SETS`.

    Raises:
        UnknownNameError: There is no such set.
        InputError: There is no path, or what is there is no such set.
    """
    name, _, path = said.partition("=")
    if name == "crowd" and not path:
        return crowds()
    if name not in SETS:
        raise UnknownNameError(f"no set of prompts is named '{name}'. {did_you_mean(name, ['crowd', *SETS])}")
    if not path:
        raise InputError(expected("--prompts", f"{name}=PATH", f"'{said}'"))
    return SETS[name](Path(path))
