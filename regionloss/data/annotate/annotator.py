"""The stage that annotates: a shard of images -> its side-car and its stats."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, astuple, dataclass, replace
from itertools import groupby

import torch

from regionloss.data.annotate.decode import Decoders, Picture, Unreadable, ahead, refuse_rerun
from regionloss.data.annotate.detect import batches, look, to_batch
from regionloss.data.annotate.detectors import NamedDetector, known, scan_of
from regionloss.data.annotate.job import Advance, Job, Report
from regionloss.data.annotate.stats import OUTSIDE, REFUSED, add_names, counts, has_too_large, hid_images, write_stats
from regionloss.data.annotate.work import Work, join_others, recall, row_of
from regionloss.data.images.files import MOST_PIXELS
from regionloss.data.shards.addresses import unsigned
from regionloss.data.shards.atomic import alone
from regionloss.data.shards.paths import is_local
from regionloss.data.shards.source import OpenShard, is_folder_shard, marks_of, open_source
from regionloss.data.shards.tar_index import mark_of
from regionloss.data.sidecars.sidecar import (
    Scan,
    Sidecar,
    read_book,
    read_sidecar,
    with_scan,
    without_detector,
    write_sidecar,
)
from regionloss.detectors.base import Detector
from regionloss.errors import DiskError, InputError, RegionLossError, reason_of

MAX_SIDE = 1600
CHUNK = 8
MOST_DECODERS = 8
FEW, NEARLY_ALL = 4, 0.9

Chunk = tuple["Work", list[int]]
DecodedChunk = tuple[Chunk, list[Picture | Unreadable]]


@dataclass(frozen=True)
class Annotate:
    """How shards are annotated; calling it makes the stage.

    Args:
        detectors: Detectors that look at the images, by name, with their options.
        plugins: Files of plugins that they may come from.
        max_side: Longest side at which images are shown to them, pixels.
        batch: Most images of a batch.
        decoders: Number of processes that decode; 0 for what the processors serve, when it is placed.
        device: Device on which detectors are shown the images.
        threads: Threads of torch in this process; 0 leaves their number as it is.
        max_pixels: Most pixels of an image that is decoded.
    """

    detectors: tuple[NamedDetector, ...]
    plugins: tuple[str, ...] = ()
    max_side: int = MAX_SIDE
    batch: int = 16
    decoders: int = 2
    device: str = "cpu"
    threads: int = 0
    max_pixels: int = MOST_PIXELS

    @property
    def processors(self) -> int:
        """Most processors that a process has use for."""
        return (self.decoders or MOST_DECODERS) + 1

    def placed(self, device: str, processors: int, threads: int = 0) -> Annotate:
        """Return the same for a process with this device and so many processors."""
        decoders = self.decoders or min(max(1, processors - 1), MOST_DECODERS)
        return replace(self, device=device, decoders=decoders, threads=threads)

    def __call__(self) -> Annotator:
        """Build the detectors and start the decoding processes.

        Raises:
            WeightsError: A detector's weights are not here.
            LostProcessError: Processes cannot be started here.
        """
        refuse_rerun()
        if self.threads:
            torch.set_num_threads(self.threads)
        where, detectors = known(self.plugins), {}
        for named in self.detectors:
            built = where.build("detector", named.name, named.options)
            detectors[scan_of(named, built, self.max_side, where)] = built
        return Annotator(self, detectors)


class Annotator:
    """The stage that annotates: it reads shards, runs detectors on their images and writes side-cars.

    Args:
        options: How shards are annotated.
        detectors: Detectors, each by what side-cars say of it.
    """

    def __init__(self, options: Annotate, detectors: Mapping[Scan, Detector]) -> None:
        self.options, self.scans, self.detectors = options, tuple(detectors), tuple(detectors.values())
        self.window = 2 * options.decoders + 2
        self.decoders = Decoders(options.decoders, options.max_side, options.max_pixels)
        self.readers, self.openers = ThreadPoolExecutor(self.window), ThreadPoolExecutor(1)

    def __call__(self, jobs: Iterable[Job], tick: Advance) -> Iterator[Report]:
        """Yield a report for each job when its side-car is written; the next one is opened and read meanwhile."""
        opened = (work for _, work in ahead(self.openers, self.open, jobs, 2))
        chunks = ((work, numbers) for work in opened for numbers in parts(list(work.missing)))
        decoded = ahead(self.readers, self.load, chunks, self.window)
        for work, group in groupby(decoded, key=lambda item: item[0][0]):
            for missing, pictures in batches(self.shown(work, group, tick), self.options.batch):
                self.look(work, missing, pictures)
                tick(len(pictures))
            yield self.finish(work)

    @property
    def does(self) -> tuple[str, ...]:
        """What is known of each detector, in words."""
        return tuple(" ".join(astuple(scan)) for scan in self.scans)

    def close(self) -> None:
        """End the decoding processes, also those that are at work."""
        self.decoders.close()
        for pool in (self.openers, self.readers):
            pool.shutdown(wait=False, cancel_futures=True)

    def finished(self, job: Job) -> bool:
        """Whether a job's side-car is whole, of this very shard, and has all that these detectors find."""
        try:
            # Object stores vouch for what they hold; a disk's side-car is read whole, with its checksums.
            book = read_sidecar(job.target) if is_local(job.target) else read_book(job.target)
            if not set(self.scans) <= set(book.scans) or (not book.rule and hid_images(job.target)):
                return False
            if self.options.max_pixels > MOST_PIXELS and has_too_large(job.target):
                return False
            if is_folder_shard(job.shard):
                return marks_of(job.shard) == book.files
            return mark_of(job.shard) == book.shard
        except (OSError, InputError):
            return False

    def open(self, job: Job) -> Work:
        """Open a job's shard and find out what is to be done."""
        work = Work(job)
        try:
            work.source = source = open_source(job.shard)
            recall(work, source, self.scans)
        except FileNotFoundError:
            work.failed = f"{job.shard}: there is no such file."
        except (InputError, OSError) as error:
            work.failed = unsigned(str(error))
        except Exception as error:
            # File systems raise what they like: the shard is named, the others go on.
            work.failed = unsigned(f"{job.shard}: {type(error).__name__}: {error}")
        return work

    def load(self, chunk: Chunk) -> list[Picture | Unreadable]:
        """Read a few images of a shard and have them decoded."""
        work, numbers = chunk
        if work.source is None or not numbers:
            return []
        shard, keys, contents = work.source.shard, [], []
        unreadable: list[Picture | Unreadable] = []
        for number in numbers:
            key = shard.keys()[number]
            try:
                contents.append(shard.read(number))
                keys.append(key)
            except (InputError, FileNotFoundError, PermissionError) as error:
                unreadable.append(Unreadable(key, str(error), suspect=isinstance(error, OSError)))
            except Exception as error:
                # A disk or a network that fails says nothing of the image.
                told = f"{key}: cannot be read ({type(error).__name__}: {error})."
                unreadable.append(Unreadable(key, told, passing=True))
        return self.decoders.decode(keys, contents) + unreadable

    def look(self, work: Work, missing: tuple[int, ...], pictures: Sequence[Picture]) -> None:
        """Have the detectors look at a batch, and write down what they find."""
        images = to_batch(pictures, self.options.device)
        for number in missing:
            scan = self.scans[number]
            found = look(self.detectors[number], scan.detector, pictures, images)
            for picture, regions in zip(pictures, found, strict=True):
                row = row_of(work, picture)
                if isinstance(regions, str):
                    add_names(work.names, {REFUSED: {picture.key: regions}})
                    work.refused.add(picture.key)
                    row = without_detector(row, scan.detector)
                else:
                    row = with_scan(row, scan, regions.rows)
                    if regions.outside:
                        told = f"{scan.detector}: {regions.outside} outside the image."
                        add_names(work.names, {OUTSIDE: {picture.key: told}})
                work.rows[picture.key] = row

    def finish(self, work: Work) -> Report:
        """Write the stats, then the side-car: when it is there, the job is done."""
        if work.source is None:
            return Report(work.job, failed=work.failed)
        try:
            if work.failed:
                return Report(work.job, failed=work.failed)
            with alone(work.job.target):
                join_others(work, work.source, self.scans)
                return self.written(work, work.source)
        except DiskError:
            raise  # Of the next shard nothing could be kept either.
        except (InputError, OSError) as error:
            return Report(work.job, failed=f"{work.job.shard}: {error}")
        finally:
            work.source.close()

    def written(self, work: Work, source: OpenShard) -> Report:
        """Write what was found in a shard, unless it was not looked at at all."""
        keys, named = source.shard.keys(), {reason: len(names) for reason, names in work.names.items()}
        head = source.shard.head
        named |= ({"shard cut off": 1} if head.problem else {}) | head.counts
        rows = [work.rows[key] for key in keys if key in work.rows and work.rows[key]["scans"]]
        sidecar = Sidecar.of(rows, self.complete(work, keys), source.mark, source.marks, head.rule)
        unreadable = "" if keys else head.problem.replace(source.shard.path, work.job.shard)
        failed = self.hopeless(work) or unreadable
        try:
            if failed == unreadable:
                write_stats(work.job, source, sidecar, work.names)
            if not failed:
                write_sidecar(work.job.target, sidecar)
        except DiskError:
            raise
        except OSError as error:
            advice = "Make room, or say another --out; what is done stays done."
            raise RegionLossError(f"{work.job.target}: cannot be written ({reason_of(error)}). {advice}") from error
        seconds = time.monotonic() - work.started
        found = counts(rows, {scan.detector for scan in self.scans})
        done = 0 if failed else len(rows)
        return Report(work.job, len(keys), done, found, named, seconds, failed, head=head, damage=work.damage)

    def complete(self, work: Work, keys: Sequence[str]) -> list[Scan]:
        """Return the scans that looked at every image of a shard; unreadable and tiny images do not count."""
        passed_over = {**work.names["unreadable"], **work.names["tiny"]}
        rows = [work.rows.get(key, {}).get("scans", ()) for key in keys if key not in passed_over]
        scans = {scan.detector: scan for scan in (*work.scans, *self.scans)}
        asked = {name: asdict(scan) for name, scan in scans.items()}
        return [scans[name] for name in sorted(scans) if all(asked[name] in row for row in rows)]

    def hopeless(self, work: Work) -> str:
        """Return why a shard failed: its images are sound, but a detector, or this machine, could look at none."""
        undone, unreadable = work.refused | work.lost, work.names.get("unreadable", {})
        ordinary = [key for key in undone if key not in work.names.get("tiny", {})]
        looked_at = len(work.missing) - len(unreadable.keys() - work.lost)
        if len(ordinary) < FEW or (len(undone) < looked_at and len(work.lost) < NEARLY_ALL * looked_at):
            return ""
        first = work.names.get(REFUSED, {}).get(min(ordinary)) or unreadable[min(ordinary)]
        done = f"only {looked_at - len(undone)}" if len(undone) < looked_at else "none"
        return f"{work.job.shard}: {done} of {looked_at} images could be looked at. The first that could not: {first}"

    def shown(
        self, work: Work, group: Iterable[DecodedChunk], tick: Advance
    ) -> Iterator[tuple[Picture, tuple[int, ...]]]:
        """Yield the decoded images of a shard with the numbers of the detectors that have not looked at them."""
        for (_, numbers), pictures in group:
            keys = work.source.shard.keys() if work.source else ()
            missing = {keys[number]: work.missing[number] for number in numbers}
            for picture in pictures:
                if isinstance(picture, Unreadable):
                    set_aside(work, picture, [self.scans[number].detector for number in missing[picture.key]])
                    tick(1)
                    continue
                for oddity in picture.oddities:
                    work.names[oddity][picture.key] = ""
                yield picture, missing[picture.key]


def set_aside(work: Work, image: Unreadable, detectors: Sequence[str]) -> None:
    """Note why an image could not be decoded; one that another try may read counts as not looked at yet."""
    if image.suspect or image.passing:
        work.lost.add(image.key)
    if image.passing:
        told = "\n".join(f"{name} could not look at it: {image.sentence}" for name in detectors)
        add_names(work.names, {REFUSED: {image.key: told}})
    else:
        work.names["unreadable"][image.key] = image.sentence


def parts(numbers: list[int]) -> list[list[int]]:
    """Return numbers in chunks; one empty chunk where there are none, since the job is still to be finished."""
    return [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)] or [[]]
