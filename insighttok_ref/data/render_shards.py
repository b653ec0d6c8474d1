"""Drawn words on disk: tar shards of images and the side-cars beside them, a pure function of the seed."""

from __future__ import annotations

import io
import json
import math
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image

from insighttok_ref.data import fonts
from insighttok_ref.data.photos import photos
from insighttok_ref.data.sources import TextSource
from regionloss.data.batches import Sample, permutation
from regionloss.data.images import read_image, to_image
from regionloss.data.shards import list_images, names_below, write_whole
from regionloss.data.sidecars import Row, Scan, Sidecar, read_sidecar, sidecar_path, write_sidecar
from regionloss.data.words import PrimerRenderer, TextRenderer, TextStyle
from regionloss.errors import InputError, LostProcessError, expected, reason_of

MOST_GROUNDS = 1000
TEST_SHARE = 0.15
#: All its letters are as wide.
PRIMER_FONT = "DejaVuSansMono-Bold.ttf"
FONT_SUFFIXES = (".ttf", ".otf", ".ttc")
#: What folders of earlier versions do not say.
UNSAID = {"primer": False}
T = TypeVar("T")


@dataclass(frozen=True)
class Rendering:
    """What is drawn.

    Args:
        size: Side of the square images, pixels.
        style: How words are drawn.
        seed: Seed of everything that is drawn.
        grounds: Folder of pictures to write on; None takes those that packages bring.
        plain: Share of plain grounds.
        fonts: Folder of font files; None takes those that packages bring for the language.
        words: File of words, one a line, or a language of which a package brings a list (`fonts.LANGUAGES`); None takes
            the English one.
        letters: Shortest and longest words that are drawn, in letters; None draws all.
        primer: Draw plain words alone (`regionloss.data.words.PrimerRenderer`); of the style, the font sizes count.
    """

    size: int = 256
    style: TextStyle = field(default_factory=TextStyle)
    seed: int = 0
    grounds: Path | None = None
    plain: float = 0.25
    fonts: Path | None = None
    words: Path | None = None
    letters: tuple[int, int] | None = None
    primer: bool = False

    def source(self, name: str = "text", use: str = "") -> TextSource:
        """Return the source of such images.

        Args:
            name: Name of the source.
            use: `train` or `test`, which have neither words nor pictures in common; none takes all words.

        Raises:
            InputError: No fonts, words or pictures where they should be, or no font that has any of the words.
            PluginError: A package that brings them is not installed.
        """
        words = self.word_list()
        words = split(words, "words")[use] if use else words
        if self.primer:
            plain = PrimerRenderer(self.font_files(), words, self.style.font_sizes)
            return TextSource(plain, [], self.size, self.seed, plain=1.0, name=name)
        renderer = TextRenderer(self.font_files(), words, self.style)
        if self.grounds is None:
            grounds = [photo.open() for photo in photos(use or "train")]
        else:
            paths = list_images(self.grounds)[:MOST_GROUNDS]
            grounds = [read_image(path) for path in (split(paths, "grounds")[use] if use else paths)]
        return TextSource(renderer, grounds, self.size, self.seed, plain=self.plain, name=name)

    def font_files(self) -> list[Path]:
        """Return the font files."""
        if self.fonts is None:
            found = fonts.fonts(fonts.language_of(self.words))
            return [path for path in found if path.name == PRIMER_FONT] or found if self.primer else found
        found = [self.fonts / name for name in names_below(str(self.fonts)) if name.lower().endswith(FONT_SUFFIXES)]
        if not found:
            raise InputError(expected("fonts", f"font files ({', '.join(FONT_SUFFIXES)}) in '{self.fonts}'", "none"))
        return found

    def word_list(self) -> list[str]:
        """Return the words."""
        shortest, longest = self.letters or (1, math.inf)
        found = [word for word in self.all_words() if shortest <= len(word) <= longest]
        if not found:
            raise InputError(expected("words", f"some of {shortest} to {longest} letters", "none"))
        return found

    def all_words(self) -> list[str]:
        """Return the words of any length."""
        if self.words is None or fonts.language_of(self.words):
            return fonts.words(fonts.language_of(self.words))
        try:
            found = self.words.read_text(encoding="utf-8-sig").split()
        except (OSError, UnicodeDecodeError) as error:
            wanted = f"a text file, one word a line, or one of {', '.join(fonts.LANGUAGES)}"
            raise InputError(expected("words", wanted, reason_of(error))) from error
        if not found:
            raise InputError(expected("words", f"words in '{self.words}'", "none"))
        return found


def split(items: Sequence[T], what: str) -> dict[str, list[T]]:
    """Return the items of training and of testing, the same ones always.

    Raises:
        InputError: Too few for both.
    """
    order, cut = permutation(0, what, length=len(items)), round(TEST_SHARE * len(items))
    if not cut:
        wanted = f"{math.ceil(0.5 / TEST_SHARE)} or more, of which some are kept for the test"
        raise InputError(expected(what, wanted, str(len(items))))
    return {"test": [items[i] for i in order[:cut]], "train": [items[i] for i in order[cut:]]}


def render_shards(
    rendering: Rendering,
    out: Path,
    count: int,
    *,
    shard_size: int = 1000,
    suffix: str = "png",
    caption: str | None = None,
    workers: int = 0,
    tick: Callable[[int], None] = lambda images: None,
    say: Callable[[str], None] = lambda sentence: None,
) -> list[Path]:
    """Write images 0 .. count - 1 as tar shards with side-cars; finished shards of an earlier call are kept.

    Args:
        rendering: What is drawn, and how.
        out: Folder. It holds these images alone: more of them are added to it, never fewer asked for.
        count: Number of images.
        shard_size: Images of a shard.
        suffix: `png`, `jpg` or `webp`.
        caption: What `KEY.txt` beside each image says, with `{words}` in it; None writes none.
        workers: Processes besides this one; 0 draws here.
        tick: Told of each finished shard how many images it has.
        say: Told what is left out of words and fonts, in sentences.

    Raises:
        InputError: What `rendering` cannot draw, or a folder that holds other images, or more of them.
        LostProcessError: A process was killed.
    """
    source = rendering.source()  # What is missing is said before anything is written.
    for note in source.renderer.notes:
        say(note)
    out.mkdir(parents=True, exist_ok=True)
    keep_options(out, {**asdict(rendering), "shard_size": shard_size, "format": suffix, "caption": caption}, count)
    parts = [range(first, min(first + shard_size, count)) for first in range(0, count, shard_size)]
    paths = [out / f"{number:05d}.tar" for number in range(len(parts))]
    make = rendering.source if workers else lambda: source
    for images in each(partial(render_shard, make, suffix, caption), list(zip(paths, parts, strict=True)), workers):
        tick(images)
    return paths


def each(work: Callable[[tuple[Path, range]], int], jobs: list[tuple[Path, range]], workers: int) -> Iterator[int]:
    """Yield what the work gives for each job, done here or by processes."""
    if not workers:
        yield from map(work, jobs)
        return
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield from pool.map(work, jobs)
    except BrokenProcessPool as error:
        advice = "Draw again, with fewer workers where memory is short: finished shards are kept."
        raise LostProcessError(
            expected("workers", "processes that draw to the end", "one that ended", advice)
        ) from error


def render_shard(make: Callable[[], TextSource], suffix: str, caption: str | None, job: tuple[Path, range]) -> int:
    """Write one shard and its side-car; leave a finished one as it is."""
    path, numbers = job
    files = {f"{number:08d}.{suffix}": number for number in numbers}
    captions = {name: f"{Path(name).stem}.txt" for name in files} if caption is not None else {}
    if finished(path, [kept for name in files for kept in (name, captions.get(name)) if kept]):
        return len(numbers)
    source, rows = make(), []
    scan = Scan("render", options=json.dumps(asdict(source.renderer.style), sort_keys=True), kind="text")
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, number in files.items():
            sample = source.sample(number)
            add(archive, name, encoded(to_image(sample.image), suffix))
            if caption is not None:
                words = " ".join(sample.regions["text"].texts or ())
                add(archive, captions[name], caption.replace("{words}", words).encode())
            rows.append(row(Path(name).stem, sample, scan))
    write_sidecar(sidecar_path("", str(path)), Sidecar.of(rows, [scan]))
    write_whole(str(path), tar.getvalue())
    return len(numbers)


def add(archive: tarfile.TarFile, name: str, contents: bytes) -> None:
    """Add a file to an archive."""
    member = tarfile.TarInfo(name)
    member.size = len(contents)
    archive.addfile(member, io.BytesIO(contents))


def finished(path: Path, files: list[str]) -> bool:
    """Whether a shard holds exactly these files, and its side-car a row for each of its images."""
    try:
        with tarfile.open(path, "r:") as archive:
            if archive.getnames() != files:
                return False
        keys = list(dict.fromkeys(Path(name).stem for name in files))
        return list(read_sidecar(sidecar_path("", str(path))).places) == keys
    except (OSError, tarfile.TarError, InputError):
        return False


def keep_options(out: Path, options: dict[str, Any], count: int) -> None:
    """Keep beside images what is drawn, and how many.

    Raises:
        InputError: The folder holds images that were drawn otherwise, more of them, or shards of something else.
    """
    path = out / "render.json"
    now = json.loads(json.dumps(options | {"count": count}, default=str))
    if path.is_file():
        before = kept_options(path)
        if differing := [key for key in now if key != "count" and before.get(key, UNSAID.get(key)) != now[key]]:
            got, advice = f"images that differ in {', '.join(differing)}", "Choose another folder."
            raise InputError(expected(str(out), "a folder for these images", got, advice))
        if before.get("count", 0) > count:
            advice = "Ask for as many or more, or choose another folder."
            raise InputError(expected(str(out), f"{count} images at most", f"{before['count']} asked before", advice))
    elif any(out.glob("*.tar")):
        got, advice = "shards and no render.json beside them", "Choose another folder."
        raise InputError(expected(str(out), "a folder for these images", got, advice))
    write_whole(str(path), (json.dumps(now, indent=1, sort_keys=True) + "\n").encode())


def kept_options(path: Path) -> dict[str, Any]:
    """Return what was kept beside images.

    Raises:
        InputError: A file that is empty or broken.
    """
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict) or not isinstance(found.get("count", 0), int):
            raise ValueError("no options in it")
    except ValueError as error:
        advice = "Remove the folder and draw again, or choose another."
        raise InputError(
            expected(str(path), "what was drawn here, as JSON", f"a broken file ({error})", advice)
        ) from error
    return found


def row(key: str, sample: Sample, scan: Scan) -> Row:
    """Return the side-car's row of a drawn image."""
    found = sample.regions["text"]
    height, width = found.image_size
    boxes = (found.boxes / torch.tensor([width, height, width, height])).tolist()
    regions = [
        {"kind": "text", "box": box, "score": 1.0, "text": text, "detector": scan.detector}
        for box, text in zip(boxes, found.texts or (), strict=True)
    ]
    return {"key": key, "width": width, "height": height, "scans": [asdict(scan)], "regions": regions}


def encoded(image: Image.Image, suffix: str) -> bytes:
    """Return an image file's contents: PNG exactly, the others at a high quality."""
    contents = io.BytesIO()
    options: dict[str, Any] = {"png": {}, "jpg": {"quality": 95, "subsampling": 0}, "webp": {"quality": 95}}[suffix]
    image.save(contents, {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[suffix], **options)
    return contents.getvalue()
