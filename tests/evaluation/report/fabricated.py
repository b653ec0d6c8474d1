"""Folders of results made of drawn words and faces: real pictures, blurred more or less, through the public types."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image, ImageDraw, ImageFilter

from regionloss.evaluation import Problem, Results, Score, Summary, read_results, write_summary
from regionloss.evaluation.benchmarks.base import Measure
from regionloss.evaluation.benchmarks.sizes import size_group
from regionloss.evaluation.metrics import edit_similarity, exact
from regionloss.evaluation.results import IMAGES, INSTANCES
from regionloss.evaluation.scores import image_scores, instance_scores
from regionloss.evaluation.tables import INSTANCE, WORDS, table, write_table

SIGNS = ("Coffee", "Bar", "Open", "EXIT", "Museum", "Modern", "Pharmacy", "Taxi", "STOP", "Bakery", "No.7", "Zürich")
CONFUSED = dict(zip("oeraEOisMhf", "ccnuF0lzNbt", strict=True))
SIZES = (0.012, 0.024, 0.06)
MEASURES: Mapping[str, Mapping[str, Measure]] = {
    "text": {
        "t_acc": Measure("T-ACC", "%", hint="Share of texts that the judge reads exactly, capitals included."),
        "t_ned": Measure("T-NED", "%", hint="1 - edit distance / length of the longer text, mean over texts."),
    },
    "face": {"f_sim": Measure("F-Sim", hint="Cosine of the judge's embeddings of original and reconstruction.")},
    "general": {
        "psnr": Measure("PSNR", "dB", hint="Of whole images.", per="image"),
        "lpips": Measure("LPIPS", higher_is_better=False, per="image"),
        "rfid": Measure("rFID", higher_is_better=False, per="set"),
    },
}
ABOUT: Mapping[str, Mapping[str, Any]] = {
    "text": {
        "judges": {
            "text/reader": {"tool": "rapidocr 3.4.2", "pipeline": "48 x 320, mean 0.5", "weights_sha256": "ab12" * 16},
            "text/reader-ctc": {"tool": "onnx 1.23", "pipeline": "32 x 128", "weights_sha256": "99ee" * 16},
        },
        "edit distance": "rapidfuzz 3.14",
    },
    "face": {"judges": {"face/knower": {"tool": "onnx 1.23", "weights_sha256": "0a1b" * 16}}},
    "general": {"lpips": "lpips 0.1.4, alex"},
}


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
    for x in (18, 32):
        draw.ellipse((x, 24, x + 6, 29), fill="black")
    draw.arc((20, 34, 36, 46), 10, 170 + number % 20, fill=(150, 40, 40), width=3)
    return image


def pictures(picture: Image.Image, blur: float) -> dict[str, bytes]:
    return {"target": webp(picture), "crop": webp(picture.filter(ImageFilter.GaussianBlur(blur)))}


def word_rows(number: int, blur: float, draw: random.Random, crops: bool) -> list[dict[str, Any]]:
    """Return what two readers make of a word; every 97th has a box that nothing can be cut from."""
    word, size, picture = SIGNS[number % len(SIGNS)], SIZES[number * 7 % 3], word_picture(SIGNS[number % 12], number)
    shared: dict[str, Any] = {
        "key": f"street/{number // 4:05d}.jpg",
        "number": number % 4,
        "kind": "text",
        "size": size,
    }
    shared |= {"box": [4.0, 8.0, 4.0 + picture.width, 38.0], "group": size_group("text", size, 512)}
    shared |= {"columns": {"scene": "indoor" if number % 3 else "street"}, "benchmark": "text", "truth": word}
    shared |= pictures(picture, blur * (0.7 + number % 3 / 3)) if crops else {}
    rows = []
    for judge, weakness in (("text/reader", 0.018), ("text/reader-ctc", 0.024)):
        read = "".join(CONFUSED.get(c, "") if draw.random() < blur * weakness / size**0.5 else c for c in word)
        values = {"t_acc": exact(read, word), "t_ned": edit_similarity(read, word)}
        ceilings = {f"original/{name}": 1.0 for name in values}
        said = {"read": read, "original": word, "values": values | ceilings, "truth_from": "transcription"}
        rows.append(shared | {"judge": judge} | ({"problem": "empty box: [4, 8, 4, 8]"} if number % 97 == 96 else said))
    return rows


def face_row(number: int, blur: float, draw: random.Random, crops: bool) -> dict[str, Any]:
    shared = {"key": f"people/{number:05d}.jpg", "number": 0, "kind": "face", "size": 0.1, "group": "medium"}
    shared |= {"box": [9.0, 9.0, 65.0, 69.0], "columns": {"tone": "I-III" if number % 2 else "IV-VI"}}
    said = {"benchmark": "face", "judge": "face/knower", "values": {"f_sim": 1 - 0.18 * blur - 0.1 * draw.random()}}
    return shared | said | (pictures(face_picture(number), blur) if crops else {})


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
    draw = random.Random(round(blur * 1000))
    rows = [row for number in range(words) for row in word_rows(number, blur, draw, crops)]
    rows += [face_row(number, blur, draw, crops) for number in range(faces)]
    keys = list(dict.fromkeys(row["key"] for row in rows))
    some = {"height": [512] * len(keys), "width": [512] * len(keys), "columns": pa.array([{} for _ in keys], WORDS)}
    psnr, lpips = ([a + b * draw.random() for _ in keys] for a, b in ((30 - 4 * blur, 1), (0.1 * blur, 0.02)))
    images = pa.table({"key": keys, **some, "problem": pa.nulls(len(keys), pa.string()), "psnr": psnr, "lpips": lpips})
    instances = table(rows, INSTANCE)
    scores = [Score("general", "rfid", 0.4 + blur, count=len(images))]
    for benchmark, measures in MEASURES.items():
        own = instances.filter(pa.compute.equal(instances["benchmark"], benchmark))
        scores = [*instance_scores(benchmark, measures, own), *image_scores(benchmark, measures, images), *scores]
    summary = Summary(
        name,
        "street signs",
        identity,
        len(keys),
        512,
        scores,
        {f"{b}/{n}": vars(m) for b, measures in MEASURES.items() for n, m in measures.items()},
        ABOUT,
        [Problem("empty box", 2, ["[4, 8, 4, 8]: street/00024.jpg"])] if words > 96 else [],
        {"bpp": round(0.0547 + 0.004 * blur, 4), "codebook_size": 16384, "images_per_second": 3.2104},
    )
    folder.mkdir(parents=True)
    write_table(instances, folder / INSTANCES)
    write_table(images, folder / IMAGES)
    write_summary(folder, replace(summary, **changes))
    return read_results(folder)
