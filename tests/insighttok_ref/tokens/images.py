"""Images with captions, in a folder and in a tar file, and a small tokenizer in a file."""

from __future__ import annotations

import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from insighttok_ref.tokenizers.insighttok.checkpoints import save_tokenizer
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer

SIZE = 16


def tokenizer(seed: int = 0, codes: int = 300) -> InsightTokenizer:
    torch.manual_seed(seed)
    return InsightTokenizer(
        ch=8,
        ch_mult=(1, 2),
        num_res_blocks=1,
        attn_resolutions=(),
        resolution=SIZE,
        z_channels=8,
        codebook_size=codes,
        code_dim=4,
        norm_groups=4,
    ).eval()


def saved(path: Path, seed: int = 0, codes: int = 300) -> Path:
    save_tokenizer(tokenizer(seed, codes), path)
    return path


def picture(number: int) -> bytes:
    pixels = np.random.RandomState(number).randint(0, 256, (SIZE, 20 + number % 4, 3), dtype=np.uint8)
    contents = BytesIO()
    Image.fromarray(pixels).save(contents, "PNG")
    return contents.getvalue()


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, contents in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            archive.addfile(member, BytesIO(contents))


def write_tars(folder: Path, shards: int, images: int = 3) -> None:
    """Write tar files in which each image has a caption."""
    for shard in range(shards):
        files = {}
        for image in range(images):
            key = f"{shard:03d}{image:02d}"
            files |= {f"{key}.png": picture(shard * images + image), f"{key}.txt": f"picture {key}\n".encode()}
        write_tar(folder / f"{shard:03d}.tar", files)
