"""One HTML page: numbers first, then pictures, curves, and how it was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from regionloss.data.shards.atomic import write_whole
from regionloss.evaluation.metrics import Interval
from regionloss.evaluation.report.curves import ARMS, Curves, loss_curves
from regionloss.evaluation.report.data import ReportData
from regionloss.evaluation.report.pictures import Strip, face_strips, image_strips, word_strips
from regionloss.evaluation.report.scores import COLUMNS, Score, scores

T = TypeVar("T")

SET_TITLES = {
    "text": "Words on photographs",
    "face": "Faces",
    "folder": "Your pictures",
}
SET_HINTS = {
    "text": "Rendered words that were not trained on, over photographs that were not trained on; the fonts are shared.",
    "face": "Crops of one photograph that was not trained on. Few faces: look at them, do not count on the numbers.",
    "folder": "Crops of files kept out of training. What stands there is what the judge reads in the original; words "
    "of which it is less than 80% sure are left out.",
}


def write_training_report(data: ReportData, out_dir: Path) -> Path:
    """Write `report.html` into a folder and return where it is. The page needs no other file and no script.

    What cannot be drawn is left out, and the page says what and why: it is the last thing of a long training to lose.

    Args:
        data: All that the page shows.
        out_dir: Made where it is missing.
    """
    environment = Environment(
        loader=PackageLoader("regionloss.evaluation.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "duration": duration}
    page = environment.get_template("earlier.html.jinja").render(context(data))
    path = out_dir / "report.html"
    write_whole(str(path), page.encode("utf-8", errors="backslashreplace"))
    return path


def context(data: ReportData) -> dict[str, Any]:
    """Return what the template shows."""
    missing: list[str] = []
    none: list[Strip] = []

    def drawn(what: str, draw: Callable[[], T], instead: T) -> T:
        try:
            return draw()
        except Exception as error:  # of any kind: of the drawing's libraries, of what users named
            missing.append(f"Not drawn: {what} ({type(error).__name__}: {error}).")
            return instead

    return {
        "data": data,
        "missing": missing,
        "colours": {arm.name: ARMS[i % len(ARMS)] for i, arm in enumerate(data.arms)},
        "findings": findings(data),
        "tables": [table(data, name) for name in data.test],
        "columns": COLUMNS,
        "word_strips": drawn("the words", lambda: word_strips(data, "text", data.crops), none),
        "folder_words": drawn("the words in your pictures", lambda: word_strips(data, "folder", data.crops // 2), none),
        "faces": drawn("the faces", lambda: face_strips(data, "face", 8), none),
        "images": drawn("the whole images", lambda: image_strips(data, "text", 8), none),
        "folder_images": drawn("your pictures", lambda: image_strips(data, "folder", 8), none),
        "curves": drawn("the losses during training", lambda: loss_curves(curves_of(data)), ""),
        "recipe": yaml.safe_dump(data.resolved.get("recipe", {}), sort_keys=False, allow_unicode=True, width=100),
        "weights": used_weights(data.resolved),
    }


def curves_of(data: ReportData) -> Curves:
    """Return the losses of a run."""
    return Curves(data.metrics, {arm.part: arm.name for arm in data.arms}, data.start.part if data.start else None)


def table(data: ReportData, set_name: str) -> dict[str, Any]:
    """Return one test set's table: the rows' scores and the arms' differences from the first arm."""
    rows = [(row, scores(data, row, set_name)) for row in data.rows]
    shown = [name for name in COLUMNS if any(name in found for _, found in rows)]
    control = scores(data, data.arms[0], set_name)
    differences = [
        (arm, {name: score.minus(control[name]) for name, score in scores(data, arm, set_name).items()})
        for arm in data.arms[1:]
    ]
    regions = data.test[set_name].regions
    return {
        "name": set_name,
        "title": SET_TITLES.get(set_name, set_name),
        "hint": SET_HINTS.get(set_name, ""),
        "columns": shown,
        "rows": [(row, {name: score.interval for name, score in found.items()}) for row, found in rows],
        "differences": differences,
        "images": len(data.test[set_name].images),
        "counts": {kind: len(found) for kind, found in regions.items()},
    }


def findings(data: ReportData) -> list[str]:
    """Return, for each arm after the first, what was found, in one sentence that says how sure it is."""
    if "text" not in data.test or "text" not in data.arms[0].readings:
        return []
    control = scores(data, data.arms[0], "text")
    if not control["accuracy"].values:
        return []
    return [sentence(data.arms[0].name, arm.name, scores(data, arm, "text"), control) for arm in data.arms[1:]]


def sentence(first: str, name: str, found: Mapping[str, Score], control: Mapping[str, Score]) -> str:
    """Return what one arm changed about reading, and what it cost elsewhere."""
    words = reading_sentence(first, name, found["accuracy"], control["accuracy"])
    outside = found["psnr_outside"].minus(control["psnr_outside"])
    if outside is None:
        return words
    return f"{words} Outside the words PSNR changes by {signed(outside.mean, 2)} dB."


def reading_sentence(first: str, name: str, ours: Score, control: Score) -> str:
    """Return what one arm changed about reading."""
    mine, theirs, change = ours.interval, control.interval, ours.minus(control)
    assert mine is not None and theirs is not None and change is not None  # noqa: PT018 (words were read)
    words, images = len(ours.values), len(set(ours.images))
    numbers = (
        f"Of {words} unseen words in {images} images, the judge reads {mine.mean:.1f}% after '{name}' and "
        f"{theirs.mean:.1f}% after '{first}'"
    )
    low, high = signed(change.low, 1), signed(change.high, 1)
    spread = f"{signed(change.mean, 1)} points (95% interval {low} to {high})"
    if change.low <= 0 <= change.high:
        return f"{numbers}: {spread}, which is within the noise of this test."
    return f"{numbers}: {spread}."


def used_weights(resolved: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the weight files of all components, each once."""
    found: dict[str, dict[str, str]] = {}
    for component in resolved.get("components", ()):
        for weight in component.get("weights", ()):
            found.setdefault(weight["name"], weight)
    return list(found.values())


def number(value: float | Interval | None, column: str, change: bool = False) -> str:
    """Return a mean as text, with the digits that its column deserves, with its sign where it is a change."""
    if value is None:
        return "–"
    mean = value.mean if isinstance(value, Interval) else value
    digits = 1 if COLUMNS[column][1] == "%" else 2
    return signed(mean, digits) if change else f"{mean:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int) -> str:
    """Return a change as text, with a sign as wide as the plus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
