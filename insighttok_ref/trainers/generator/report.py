"""What a run ends with: words that are asked for, drawn, and read by a judge beside what the tokenizer alone keeps."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from insighttok_ref.generator.checkpoints import LoadedGenerator, read_generator
from insighttok_ref.generator.sampling import Sampling, sample
from insighttok_ref.tokens.shards import TokenRow
from insighttok_ref.trainers.generator.options import WrittenOptions
from insighttok_ref.trainers.tokenizer.held_out import SET, HeldOut, Reconstructed
from insighttok_ref.trainers.tokenizer.report import command, seconds
from regionloss.data.batches import Batch, Sample
from regionloss.errors import InputError, expected
from regionloss.evaluation import Evaluation, Results, evaluate
from regionloss.evaluation.generation import AskedTextBenchmark
from regionloss.evaluation.report import Curves, Origin, write_report
from regionloss.regions import Regions

if TYPE_CHECKING:
    from insighttok_ref.trainers.generator.session import GeneratorSession
    from regionloss.judges import Judge

#: Images that are drawn together.
TOGETHER = 50
#: Side by which size groups are told apart: of images so small there is one.
SETTING = 256
ALONE, GENERATED = "tokenizer alone", "generated"
#: Measures of a sentence.
ASKED = ("t_acc", "t_ned", "chance_acc", "chance_ned")


class Asked:
    """The images that a generator is asked for: the captions, and the words that they ask for, by set.

    Args:
        held: Images that were kept from training, by set.
        options: How many of them are asked for, and what their captions look like.

    Raises:
        InputError: No caption of them is as the options say.
    """

    def __init__(self, held: Mapping[str, Sequence[TokenRow]], options: WrittenOptions) -> None:
        before, _, after = map(re.escape, options.caption.partition("{words}"))
        pattern = re.compile(f"{before}(.+){after}", re.DOTALL)
        self.rows: dict[str, list[TokenRow]] = {}
        self.words: dict[str, list[str]] = {}
        for name, rows in held.items():
            found = [(row, match[1]) for row in rows if row.caption and (match := pattern.fullmatch(row.caption))]
            if found := [found[place] for place in spread([word for _, word in found])[: options.images]]:
                self.rows[name], self.words[name] = [row for row, _ in found], [word for _, word in found]
        if not self.rows:
            captions = [row.caption for rows in held.values() for row in rows]
            got = f"'{captions[0]}' and the like" if captions else "no images that are kept (data.sources.NAME.test)"
            raise InputError(expected("evaluation.caption", f"captions like '{options.caption}'", got))

    def originals(self, size: tuple[int, int]) -> HeldOut:
        """Return what is asked for as pictures (width, height) with the words set plainly, whatever the tokenizer."""
        pictures = {name: [set_plainly(word, size) for word in words] for name, words in self.words.items()}
        return HeldOut({name: Batch.of(samples) for name, samples in pictures.items()})


def spread(words: Sequence[str]) -> list[int]:
    """Return the places of words, each word once before any twice."""
    seen: Counter[str] = Counter()
    turns = []
    for word in words:
        seen[word] += 1
        turns.append(seen[word])
    return sorted(range(len(words)), key=lambda place: turns[place])


def set_plainly(words: str, size: tuple[int, int]) -> Sample:
    """Return words as large as an image (width, height) allows, with the whole of it as their region."""
    image = Image.new("RGB", size, "white")
    draw, height = ImageDraw.Draw(image), size[1] // 2
    width = draw.textlength(words, ImageFont.load_default(height))
    font = ImageFont.load_default(max(1.0, height * min(1.0, 0.9 * size[0] / max(width, 1.0))))
    draw.text((size[0] / 2, size[1] / 2), words, "black", font, anchor="mm")
    box = torch.tensor([[0.0, 0.0, *map(float, size)]])
    return Sample.of(image, {"text": Regions.single("text", box, (size[1], size[0]), texts=(words,))})


def report(session: GeneratorSession, asked: Asked, judges: Mapping[str, Judge]) -> Path:
    """Draw what is asked for, have it read, write the results and `report.html`, and return the page.

    Args:
        session: Whose generator is finished.
        asked: What is asked for.
        judges: Readers by name.
    """
    began, options = time.monotonic(), session.trainer.evaluation
    generator, found = read_generator(session.folder).to(session.ranks.device), []
    for name in (GENERATED, ALONE):
        session.progress.stage(f"judging: {name}", 0.0)
        ids = {
            group: torch.stack([row.ids for row in rows]) if name == ALONE else drawn(generator, rows, options)
            for group, rows in asked.rows.items()
        }
        found.append(judged(session, name, asked, generator, ids, judges))
    sentences = list(told(found, asked))
    for sentence in sentences:
        session.progress.say(sentence)
    spent = {**seconds(session), "drawing and judging": time.monotonic() - began}
    return write_report(
        found,
        session.folder / "report.html",
        title=f"{Path(session.run.loaded.source.name).stem}: words that were asked for",
        curves=Curves(list(session.metrics.read()), {part.name: part.name for part in session.parts}),
        origin=Origin(command(session.run.loaded.source.name), session.resolved, spent, ()),
        notes=sentences,
    )


def drawn(generator: LoadedGenerator, rows: Sequence[TokenRow], options: WrittenOptions) -> Tensor:
    """Return the ids (N, n) of an image for each caption, the image's number being its seed."""
    how = Sampling(options.guidance, options.temperature, options.top_k)
    device, parts = generator.model.codebook.weight.device, []
    for first in range(0, len(rows), TOGETHER):
        captions = [row.caption or "" for row in rows[first : first + TOGETHER]]
        seeds = torch.arange(first, first + len(captions), device=device)
        prompts = generator.form.encode(captions).to(device)
        parts.append(sample(generator.model, generator.form, prompts, generator.tokens, seeds, how).ids)
    return torch.cat(parts)


def judged(
    session: GeneratorSession,
    name: str,
    asked: Asked,
    generator: LoadedGenerator,
    ids: Mapping[str, Tensor],
    judges: Mapping[str, Judge],
) -> Results:
    """Return what is read in the images of ids (N, n) by set."""
    images = {
        group: torch.cat([generator.draw(one).cpu() for one in part.to(session.ranks.device).split(TOGETHER)])
        for group, part in ids.items()
    }
    height, width = next(iter(images.values())).shape[2:]
    originals = asked.originals((width, height))
    codes, model = {group: part.cpu() for group, part in ids.items()}, generator.tokenizer
    made = Reconstructed(name, f"{name} {model.fingerprint}", images, codes, model.codebook_size, {})
    benchmark = AskedTextBenchmark(judges, [word for words in asked.words.values() for word in words])
    folder = session.folder / "results" / name.replace(" ", "-")
    crops = session.trainer.evaluation.crops
    return evaluate(Evaluation(originals, made, [benchmark], folder, SETTING, crops=crops), again=True)


def told(results: Sequence[Results], asked: Asked) -> Iterator[str]:
    """Yield a sentence for each set and row: how many words were read, and how many would be by chance."""
    for name, words in asked.words.items():
        for one in results:
            group = f"{SET}={name}" if len(asked.words) > 1 else ""
            found = {key: score.value for key in ASKED if (score := one.summary.score(key, group))}
            if len(found) == len(ASKED):
                exact, near, chance, near_by_chance = (f"{found[key]:.1%}" for key in ASKED)
                yield (
                    f"{name}, {one.summary.name}: {exact} of {len(words)} words read (by chance {chance}), "
                    f"letters right {near} (by chance {near_by_chance})"
                )
