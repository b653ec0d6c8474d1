"""Tokenizer files as autoencoders: what `regionloss evaluate` asks of one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from insighttok_ref.tokenizers.insighttok.checkpoints import read_tokenizer
from insighttok_ref.tokenizers.insighttok.codes import Codes
from insighttok_ref.tokenizers.insighttok.folders import file_of
from regionloss.autoencoders import Output
from regionloss.data.shards import is_image
from regionloss.errors import RegionLossError
from regionloss.weights import sha256_of


class TokenizerFile:
    """Ours, the published InsightTok's, a VQGAN of taming-transformers or of LlamaGen.

    Args:
        path: The file, or the folder of a run.
        device: Where it computes.
        trust: Also read a checkpoint that holds more than tensors; nothing else in it is run.
        codebook: How codes are compared, `normalised` or `plain`; None to see for oneself.

    Raises:
        WeightsError: The file is broken, or holds something else.
    """

    def __init__(self, path: Path, device: torch.device, trust: bool = False, codebook: Codes | None = None) -> None:
        found = read_tokenizer(path, trust=trust, codebook=codebook)
        self.model, self.device = found.model.to(device).eval(), device
        self.multiple, self.codebook_size = self.model.downsampling, len(self.model.codebook)
        self.weights_sha256 = sha256_of(file_of(path))
        self.facts: dict[str, object] = {"kind": found.kind, "notes": list(found.notes)}

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Whether a path may lead to the weights of a tokenizer: any file but an image, and folders that hold one."""
        try:
            return file_of(path).is_file() and not is_image(path.name)
        except RegionLossError:
            return False

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Output:
        """Return the images (B, 3, H, W) in [-1, 1] as they come back, on the CPU, with the ids of their codes."""
        found = self.model(images.to(self.device))
        return Output(found.reconstruction.float().cpu(), found.ids.cpu())
