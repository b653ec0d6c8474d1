"""Folders of results made of drawn words: real pictures, blurred more or less, through the public types."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFilter

from regionloss.evaluation.metrics import bootstrap, edit_similarity, exact
from regionloss.evaluation.results import (
    IMAGES,
    INSTANCES,
    Problem,
    Results,
    Score,
    Summary,
    read_results,
    write_summary,
)

WORDS = ("Coffee", "Bar", "Open", "EXIT", "Museum", "Modern", "Pharmacy", "Taxi", "STOP", "Bakery", "No.7", "Zürich")
CONFUSED = {
    "o": "c",
    "e": "c",
    "r": "n",
    "f": "t",
    "a": "u",
    "E": "F",
    "O": "0",
    "i": "l",
    "s": "z",
    "M": "N",
    "h": "b",
}
MEASURES = {
    "text/t_acc": {"title": "T-ACC", "unit": "%", "hint": "Share of texts that the judge reads exactly."},
    "text/t_ned": {"title": "T-NED", "unit": "%", "hint": "1 - edit distance / length of the longer text."},
    "face/f_sim": {"title": "F-Sim", "hint": "Cosine of the judge's embeddings."},
    "general/psnr": {"title": "PSNR", "unit": "dB", "per": "image", "hint": "Of whole images."},
    "general/lpips": {"title": "LPIPS", "higher_is_better": False, "per": "image"},
    "general/rfid": {"title": "rFID", "higher_is_better": False, "per": "set"},
}
JUDGES = {"text/reader": "text", "text/reader-ctc": "text", "face/knower": "face"}
ABOUT = {
    "text": {
        "judges": {
            name: {
                "tool": "rapidocr",
                "version": "3.4.2",
                "weights sha256": 8 * digits,
                "pipeline": "48 x 320, mean 0.5",
            }
            for name, digits in (("text/reader", "ab12cd34"), ("text/reader-ctc", "99ee77ff"))
        },
        "edit distance": "rapidfuzz 3.14",
    },
    "face": {"judges": {"face/knower": {"tool": "onnx", "weights sha256": 8 * "0a1b2c3d", "pipeline": "112 x 112"}}},
    "general": {"lpips": "lpips 0.1.4, alex"},
}
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("key", "kind", "group", "judge", "read", "original", "truth", "problem")),
        ("number", pa.int32()),
        ("box", pa.list_(pa.float32())),
        ("size", pa.float64()),
        ("columns", pa.map_(pa.string(), pa.string())),
        ("values", pa.map_(pa.string(), pa.float64())),
        ("target", pa.binary()),
        ("crop", pa.binary()),
    ]
)


def webp(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="WEBP", quality=80)
    return stream.getvalue()


def word_picture(word: str, number: int) -> Image.Image:
    shade = 40 + 37 * number % 120
    image = Image.new("RGB", (max(24, 13 * len(word) + 10), 30), (shade, 90, 200 - shade))
    ImageDraw.Draw(image).text((5, 4), word, fill="white", font_size=19)
    return image


def face_picture(number: int) -> Image.Image:
    image = Image.new("RGB", (56, 60), (90, 110 + number % 60, 140))
    draw = ImageDraw.Draw(image)
    draw.ellipse((10, 8, 46, 54), fill=(220, 180 - number % 40, 150))
    draw.ellipse((18, 24, 24, 29), fill="black")
    draw.ellipse((32, 24, 38, 29), fill="black")
    draw.arc((20, 34, 36, 46), 10, 170 + number % 20, fill=(150, 40, 40), width=3)
    return image


def misread(word: str, chance: float, draw: random.Random) -> str:
    letters = [CONFUSED.get(letter, "") if draw.random() < chance else letter for letter in word]
    return "".join(letters)


def instance_rows(blur: float, count: int, faces: int, seed: int, crops: bool) -> list[dict[str, Any]]:
    draw, same = random.Random(seed), random.Random(1)
    rows: list[dict[str, Any]] = []
    for i in range(count):
        word, size = WORDS[i % len(WORDS)], same.choice((0.012, 0.024, 0.06))
        picture = word_picture(word, i)
        cut = {
            "target": webp(picture),
            "crop": webp(picture.filter(ImageFilter.GaussianBlur(blur * (0.7 + i % 3 / 3)))),
        }
        box = [4.0, 8.0, 4.0 + picture.width, 38.0]
        shared = {"key": f"street/{i // 4:05d}.jpg", "number": i % 4, "kind": "text", "size": size, "box": box}
        shared |= {"group": {0.012: "small", 0.024: "medium"}.get(size, "large"), "truth": word, "original": word}
        shared |= {"columns": {"script": "Latin", "scene": "indoor" if i % 3 else "street"}, **(cut if crops else {})}
        for judge, more in (("text/reader", 0.9), ("text/reader-ctc", 1.2)):
            if i % 97 == 96:
                rows.append(shared | {"judge": judge, "truth": None, "problem": "empty box: [4, 8, 4, 8]"})
                continue
            read = misread(word, blur * more * 0.02 / size**0.5, draw)
            values = {"t_acc": exact(read, word), "t_ned": edit_similarity(read, word)}
            ceilings = {"original/t_acc": 1.0, "original/t_ned": 1.0}
            rows.append(shared | {"judge": judge, "read": read, "values": values | ceilings, "problem": ""})
    for i in range(faces):
        picture = face_picture(i)
        values = {"f_sim": max(-1.0, min(1.0, 1 - 0.18 * blur - 0.1 * draw.random()))}
        shared = {"key": f"people/{i:05d}.jpg", "number": 0, "kind": "face", "size": 0.1, "box": [9.0, 9.0, 65.0, 69.0]}
        shared |= {
            "group": "medium",
            "columns": {"tone": "I-III" if i % 2 else "IV-VI"},
            "problem": "",
            "values": values,
        }
        shared |= (
            {"target": webp(picture), "crop": webp(picture.filter(ImageFilter.GaussianBlur(blur)))} if crops else {}
        )
        rows.append(shared | {"judge": "face/knower"})
    return rows


def scores_of(rows: Sequence[Mapping[str, Any]], images: pa.Table, blur: float) -> list[Score]:
    keys = {key: place for place, key in enumerate(dict.fromkeys(row["key"] for row in rows))}
    found = []

    def add(measure: str, judge: str, group: str, some: Sequence[Mapping[str, Any]]) -> None:
        if some:
            interval = bootstrap([row["values"][measure] for row in some], [keys[row["key"]] for row in some], 200)
            ceiling = 0.96 if measure == "t_acc" else None
            numbers = (interval.mean, judge, group, len(some), interval.low, interval.high, ceiling)
            found.append(Score(JUDGES[judge].partition("/")[0], measure, *numbers))

    for judge in JUDGES:
        own = [row for row in rows if row["judge"] == judge and row.get("values")]
        for measure in [name for name in (own[0]["values"] if own else {}) if not name.startswith("original/")]:
            add(measure, judge, "", own)
            for group in ("small", "medium", "large"):
                add(measure, judge, f"size/{group}", [row for row in own if row["group"] == group])
            means = [
                one.value for one in found if one.judge == judge and one.measure == measure and "size/" in one.group
            ]
            found.append(Score(JUDGES[judge], measure, sum(means) / len(means), judge, "size/mean", len(own)))
            for column in own[0]["columns"]:
                by = {
                    value: [r for r in own if r["columns"][column] == value]
                    for value in ("indoor", "street", "I-III", "IV-VI")
                }
                for value, some in by.items():
                    add(measure, judge, f"{column}={value}", some)
    for measure in ("psnr", "lpips"):
        interval = bootstrap(images.column(measure).to_pylist(), None, 200)
        found.append(Score("general", measure, interval.mean, "", "", len(images), interval.low, interval.high))
    return [*found, Score("general", "rfid", 0.4 + blur, count=len(images))]


def fabricate(
    folder: Path,
    name: str = "ours",
    *,
    blur: float = 1.0,
    words: int = 24,
    faces: int = 6,
    identity: str = "a1b2c3",
    crops: bool = True,
    **changes: Any,
) -> Results:
    """Write the results of a tokenizer that blurs, and return them as they are read again."""
    seed = round(blur * 1000)
    rows = instance_rows(blur, words, faces, seed, crops)
    keys = list(dict.fromkeys(row["key"] for row in rows))
    draw = random.Random(seed)
    images = pa.table(
        {
            "key": keys,
            "height": [512] * len(keys),
            "width": [512] * len(keys),
            "columns": pa.array([{} for _ in keys], pa.map_(pa.string(), pa.string())),
            "psnr": [30 - 4 * blur + draw.random() for _ in keys],
            "lpips": [0.1 * blur + 0.02 * draw.random() for _ in keys],
        }
    )
    summary = Summary(
        name,
        "street signs",
        identity,
        len(keys),
        512,
        scores_of(rows, images, blur),
        MEASURES,
        ABOUT,
        [Problem("empty box", 2, ["street/00024.jpg, instance 0: empty box: [4, 8, 4, 8]"])],
        {"bpp": round(0.0547 + 0.004 * blur, 4), "codebook_size": 16384, "images_per_second": 3.21},
    )
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), folder / INSTANCES)
    pq.write_table(images, folder / IMAGES)
    write_summary(folder, replace(summary, **changes))
    return read_results(folder)
