"""Does the decoder of an autoencoder keep more words when it is tuned with region terms than without?

Pictures of 64 x 64 pixels are drawn: words, and crops of two portraits. A small `AutoencoderKL` is trained on them
without terms. From its weights the decoder is tuned twice a seed, on the same pictures in the same order for as many
steps: with the terms of recipes/finetune-vae.yaml, and without. Judges that no term is computed with look at pictures
that were kept from training.

Run: python studies/finetune/study.py runs/study --seeds 0 1 2
What is in the folder already is not made again.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from insighttok_ref.data.packaged import detectors_of, portraits
from insighttok_ref.data.render_shards import Rendering
from insighttok_ref.data.sources import PictureSource
from regionloss import Regions
from regionloss.data.annotate import annotate_files
from regionloss.data.batches import Sample
from regionloss.data.images import Augment, to_image
from regionloss.data.words import TextStyle
from regionloss.detectors import Detector
from regionloss.recipe import load_recipe

RECIPE = "finetune-vae"
SIZE, WORDS, FACES = 64, 3000, 300
MODEL = {
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "block_out_channels": (16, 24, 32),
    "norm_num_groups": 8,
    "layers_per_block": 1,
    "latent_channels": 8,
}
SAME = (f"data.image_size={SIZE}", "data.workers=0", "log.every=20", "engine.threads=1")
PIXELS = "objective={l1: 1, l2: 2, edges: 0.5}"
#: Encoder and decoder learn, until the loss no longer falls.
BASE = (
    PIXELS,
    "model.train=[encoder,decoder]",
    "terms={}",
    "weight_average=0",
    "data.test=0",
    "batch_size=8",
    "steps=5000",
    "lr=3e-3",
)
TUNED = (PIXELS, "data.max_files=4000", "data.test=300", "batch_size=8", "steps=1600", "lr=1e-3")
SHARE = "{text: 0.66, face: 0.12}"
ARMS = {"without": ("terms.text=0", "terms.face=0"), "with": (f"share={SHARE}",)}
#: On one core, as long as with the terms; of the first seed alone.
LONGER = (*ARMS["without"], "steps=6400")
MEASURES = {
    "accuracy": "{:.1f}%",
    "similarity": "{:.1f}%",
    "face": "{:.2f}",
    "psnr_inside": "{:.2f}",
    "psnr_outside": "{:.2f}",
}


class Drawn:
    """Answers for a detector with what is known to be in the pictures, one after another."""

    version = ""

    def __init__(self, kind: str, samples: list[Sample]) -> None:
        self.kind, self.samples = kind, iter(samples)

    def detect(self, images: Tensor) -> Regions:
        """Return the regions of the next picture."""
        return next(self.samples).regions.get(self.kind) or Regions.empty(self.kind, (SIZE, SIZE), 1)


def samples(detectors: list[Detector], seed: int) -> Iterator[Sample]:
    """Yield the pictures of a seed: words on photographs and on plain grounds, then faces."""
    words = Rendering(SIZE, TextStyle(font_sizes=(11, 18), words=(2, 2), colourful=0.15), seed).source()
    faces = [face for use in ("train face", "test face") for face in portraits(use, SIZE, detectors)]
    around = Augment(area=(0.1, 1.0), around=1.0, scale=(1.2, 2.0), jitter=0.2)
    portrait = PictureSource("face", faces, SIZE, seed, augment=around)
    for source, count in ((words, WORDS), (portrait, FACES)):
        yield from map(source.sample, range(count))


def draw(folder: Path, seed: int) -> None:
    """Write the pictures of a seed, and beside them where their words and faces are."""
    detectors = detectors_of(load_recipe(RECIPE, []))
    made = list(samples([one for one in detectors.values() if one.kind == "face"], seed))
    folder.mkdir(parents=True)
    paths = [folder / f"{number:04d}.png" for number in range(len(made))]
    for path, sample in zip(paths, made, strict=True):
        to_image(sample.image).save(path)
    known = {scan: Drawn(one.kind, made) for scan, one in detectors.items()}
    annotate_files(paths, folder, known, folder.with_suffix(".parquet"))


def train(out: Path, *keys: str) -> None:
    """Run the recipe, if nobody has."""
    if not (out / "autoencoder").is_dir():
        command = ["train", RECIPE, *SAME, *keys, f"out={out}"]
        print(shlex.join(["regionloss", *command]), flush=True)
        subprocess.run([Path(sys.executable).with_name("regionloss"), *command], check=True)


def row(run: Path, which: str, *names: str) -> str:
    """Return a line of the table."""
    found = json.loads((run / "results.json").read_text())["test"]["photos"][which]
    cells = [form.format(found[name]["mean"]) for name, form in MEASURES.items()]
    return f"| {' | '.join((*names, *cells))} |"


def main() -> None:
    """Make what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    folder = options.folder
    earlier, pictures, fresh = folder / "earlier", folder / "photos", folder / "fresh"
    for place, seed in ((earlier, 1), (pictures, 0)):
        if not place.is_dir():
            draw(place, seed)
    if not fresh.is_dir():
        torch.manual_seed(0)
        AutoencoderKL.from_config(MODEL).save_pretrained(fresh)
    train(folder / "base", f"model.from={fresh}", f"data.images={earlier}", *BASE)
    start = f"model.from={folder / 'base' / 'autoencoder'}"
    data = (f"data.images={pictures}", f"data.regions={pictures.with_suffix('.parquet')}")
    lines = ["| seed | decoder | words read | letters right | face similarity | PSNR in regions, dB | elsewhere, dB |"]
    lines.append("|---|---|---|---|---|---|---|")
    for seed in options.seeds:
        for arm, own in ARMS.items():
            train(folder / f"{arm}-{seed}", start, *data, f"seed={seed}", *TUNED, *own)
        lines += [row(folder / f"{arm}-{seed}", "after", str(seed), arm) for arm in ARMS]
    first = options.seeds[0]
    train(folder / f"longer-{first}", start, *data, f"seed={first}", *TUNED, *LONGER)
    lines.insert(2, row(folder / f"with-{first}", "before", "all", "before"))
    lines.append(row(folder / f"longer-{first}", "after", str(first), "without, 6,400 steps"))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
