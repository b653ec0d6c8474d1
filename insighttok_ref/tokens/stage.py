"""The stage that tokenizes: a shard of images -> a shard of tokens. Executors are those of annotation."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from insighttok_ref.tokenizers.base import Tokenizer
from insighttok_ref.tokenizers.insighttok.checkpoints import read_tokenizer
from insighttok_ref.tokenizers.insighttok.codes import Codes
from insighttok_ref.tokens.files import TokenFile, TokenHeader, read_header, read_tokens, write_tokens
from insighttok_ref.tokens.shards import described
from regionloss.data.annotate import Advance, Job, Report
from regionloss.data.images import MOST_PIXELS, central_window, cropped, decoded, open_image, to_tensor
from regionloss.data.shards import OpenShard, captions_of, mark_of_shard, open_source
from regionloss.errors import DiskError, InputError, RegionLossError, expected, reason_of

THREADS = 4


@dataclass(frozen=True)
class Tokenize:
    """How shards are tokenized; calling it makes the stage, in whichever process.

    Args:
        checkpoint: File of the tokenizer.
        size: Side of the square that is cut out of the middle of each image and resized, pixels.
        batch: Most images that the tokenizer sees at once.
        device: Where it works.
        threads: Threads of torch in this process; 0 leaves their number as it is.
        max_pixels: Most pixels of an image that is decoded.
        trust: Whether a checkpoint may hold more than tensors.
        codebook: How codes are compared, where the file does not show it.
    """

    checkpoint: Path
    size: int = 256
    batch: int = 16
    device: str = "cpu"
    threads: int = 0
    max_pixels: int = MOST_PIXELS
    trust: bool = False
    codebook: Codes | None = None

    @property
    def processors(self) -> int:
        """Most processors that a process has use for."""
        return THREADS + 1

    def placed(self, device: str, processors: int, threads: int = 0) -> Tokenize:
        """Return the same for a process with this device and so many processors."""
        return replace(self, device=device, threads=threads)

    def __call__(self) -> TokenStage:
        """Read the tokenizer.

        Raises:
            WeightsError: The file is absent, broken, or holds something else.
            InputError: The tokenizer does not divide the size.
        """
        if self.threads:
            torch.set_num_threads(self.threads)
        model = read_tokenizer(self.checkpoint, trust=self.trust, codebook=self.codebook).model.to(self.device)
        if self.size % model.downsampling:
            near = max(model.downsampling, round(self.size / model.downsampling) * model.downsampling)
            wanted = f"a multiple of {model.downsampling}"
            raise InputError(expected("--size", wanted, str(self.size), f"Try {near}."))
        return TokenStage(self, model)


class TokenStage:
    """The stage that tokenizes.

    Args:
        options: How shards are tokenized.
        model: The tokenizer, in eval mode.
    """

    def __init__(self, options: Tokenize, model: Tokenizer) -> None:
        self.options, self.model = options, model
        sides = (options.size, options.size)
        self.header = TokenHeader(model.fingerprint, model.codebook_size, model.grid(sides), options.size)
        self.pool = ThreadPoolExecutor(THREADS)

    def __call__(self, jobs: Iterable[Job], tick: Advance) -> Iterator[Report]:
        """Yield a report for each job when its tokens are written."""
        for job in jobs:
            try:
                yield self.done(job, tick)
            except DiskError:
                raise  # Of the next shard nothing could be kept either.
            except FileNotFoundError as error:
                yield Report(job, failed=f"{job.shard}: {reason_of(error)}.")
            except (RegionLossError, OSError) as error:
                told = str(error) if isinstance(error, RegionLossError) else f"{job.shard}: {reason_of(error)}."
                yield Report(job, failed=told)

    @property
    def does(self) -> tuple[str, ...]:
        """What made the tokens, in words."""
        return (described(self.header),)

    def close(self) -> None:
        """End the threads that decode."""
        self.pool.shutdown(wait=False, cancel_futures=True)

    def finished(self, job: Job) -> bool:
        """Whether a job's tokens are whole, and of this very shard.

        Raises:
            InputError: They are there, and of another tokenizer or size.
        """
        try:
            header = read_header(job.target)
        except (InputError, OSError):
            return False
        if header.made_by != self.header.made_by:
            wanted = f"tokens of this run ({described(self.header)})"
            raise InputError(expected(job.target, wanted, f"others ({described(header)})", "Say another --out."))
        try:
            read_tokens(job.target)
            return header.shard == mark_of_shard(job.shard)
        except (InputError, OSError):
            return False

    def done(self, job: Job, tick: Advance) -> Report:
        """Tokenize a shard; return the report."""
        started, source = time.monotonic(), open_source(job.shard)
        try:
            keys, captions = source.shard.keys(), captions_of(source)
            rows, unreadable = self.encoded(source, keys, tick)
            if keys and not rows:
                first = next(iter(unreadable.values()))
                return Report(job, len(keys), failed=f"{job.shard}: none of {len(keys)} images can be read. {first}")
            header = replace(self.header, shard=mark_of_shard(job.shard), unreadable=unreadable)
            kept = list(rows)
            ids = np.array(list(rows.values()), header.dtype)
            write_tokens(job.target, TokenFile(header, kept, [captions.get(key) for key in kept], ids))
        finally:
            source.close()
        named = {"unreadable": len(unreadable), "without a caption": sum(key not in captions for key in kept)}
        seen = {reason: count for reason, count in named.items() if count}
        return Report(job, len(keys), len(kept), {}, seen, time.monotonic() - started, head=source.shard.head)

    @torch.inference_mode()
    def encoded(
        self, source: OpenShard, keys: Sequence[str], tick: Advance
    ) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return the ids of a shard's images by key, and why those that are not among them could not be decoded."""
        rows: dict[str, np.ndarray] = {}
        unreadable: dict[str, str] = {}
        starts = range(0, len(keys), self.options.batch)
        chunks = [range(start, min(start + self.options.batch, len(keys))) for start in starts]
        ahead = [self.pool.submit(self.read, source, keys, chunk) for chunk in chunks[:2]]
        for number, chunk in enumerate(chunks):
            found = ahead.pop(0).result()
            ahead += [self.pool.submit(self.read, source, keys, later) for later in chunks[number + 2 : number + 3]]
            images = {key: image for key, image in found.items() if not isinstance(image, str)}
            unreadable |= {key: image for key, image in found.items() if isinstance(image, str)}
            if images:
                pixels = to_tensor(list(images.values())).to(self.options.device)
                rows |= zip(images, self.model.encode(pixels).cpu().numpy(), strict=True)
            tick(len(chunk))
        return rows, unreadable

    def read(self, source: OpenShard, keys: Sequence[str], numbers: Iterable[int]) -> dict[str, Image.Image | str]:
        """Return images by key, each cut to the square; the sentence that says why one cannot be decoded."""
        found: dict[str, Image.Image | str] = {}
        for number in numbers:
            contents = source.shard.read(number)
            try:
                image = self.cut(contents, keys[number])
            except InputError as error:
                found[keys[number]] = str(error)
            else:
                found[keys[number]] = image
        return found

    def cut(self, contents: bytes, name: str) -> Image.Image:
        """Return the middle square of an image file at the size of the run."""
        image = decoded(open_image(contents, name), name, max_pixels=self.options.max_pixels).image
        sides = (self.options.size, self.options.size)
        return cropped(image, {}, central_window((image.height, image.width)), sides)[0]
