"""The drill of `evaluate`: scores, tables and crops, byte for byte."""

from __future__ import annotations

import json
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from tests.drills.base import Command, regionloss

IMAGES = 40
PART = 2
WORDS = ("Station", "Window", "OPEN", "Harbour", "late", "Keys")
FILES = ("results.json", "instances.parquet", "images.parquet")


def write_pairs(folder: Path, seed: int) -> None:
    """Write a folder of TokBench with two words an image, and blurred copies of its images as reconstructions."""
    rng, listed = random.Random(seed), []
    for name in ("set/images", "made/images"):
        (folder / name).mkdir(parents=True)
    for number in range(IMAGES):
        image, entries = Image.new("RGB", (160, 90), (230, 230, 225)), []
        for row in range(2):
            word, at, font = rng.choice(WORDS), (10, 5 + 40 * row), ImageFont.load_default(size=26)
            ImageDraw.Draw(image).text(at, word, fill=(20, 20, 60), font=font)
            box = [int(side) for side in ImageDraw.Draw(image).textbbox(at, word, font=font)]
            entries.append({"rec": word, "bbox": box, "ratio": (box[2] - box[0]) / 160 / len(word)})
        name = f"{number:03d}.png"
        image.save(folder / "set/images" / name)
        image.filter(ImageFilter.GaussianBlur(rng.choice((0, 2, 5)))).save(folder / "made/images" / name)
        listed.append({"file_name": name, "height": 90, "width": 160, "annotations": entries})
    (folder / "set/text_words.json").write_text(json.dumps(listed), encoding="utf-8")


def outcome(out: Path) -> dict[str, object]:
    """Return the bytes of scores and tables."""
    return {name: (out / name).read_bytes() for name in FILES}


def evaluate(folder: Path, seed: int) -> Command:
    """Return the command over pairs that are written to a folder."""
    write_pairs(folder, seed)
    data = ["--data", str(folder / "set"), "--reconstructions", str(folder / "made")]
    asked = ["--suite", "text", "--judges", "text/ppocr-v6", "--part", str(PART), "--device", "cpu"]
    return Command(
        "evaluate",
        lambda out: regionloss("evaluate", *data, *asked, "--out", str(out)),
        lambda out: IMAGES // PART if (out / "results.json").is_file() else len([*out.glob("parts/[0-9]*")]),
        outcome,
    )
