"""Tokenizer files as autoencoders: what `regionloss evaluate` asks of one, and what trains and writes it back."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from insighttok_ref.tokenizers.insighttok.checkpoints import Found, read_tokenizer, save_tokenizer
from insighttok_ref.tokenizers.insighttok.codes import Codes
from insighttok_ref.tokenizers.insighttok.folders import file_of
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from insighttok_ref.tokenizers.insighttok.residual import RESIDUAL, ResidualTokenizer
from regionloss.autoencoders import Encoded, HeldLatents, TrainableAutoencoder
from regionloss.data.shards import is_image
from regionloss.disk import whole
from regionloss.errors import InputError, NotFiniteError, RegionLossError, expected
from regionloss.weights import sha256_of

OURS, REPAIR = "tokenizer.safetensors", "residual.safetensors"
#: The entry under which the published code of each kind looks for its weights.
ENTRIES = {"official": "model", "llamagen": "model", "taming": "state_dict"}


class TokenizerFile(TrainableAutoencoder):
    """Ours, the published InsightTok's, a VQGAN of taming-transformers or of LlamaGen, or what repairs one of them.

    Args:
        path: The file, or the folder of a run.
        device: Where it computes.
        trust: Also read a checkpoint that holds more than tensors; nothing else in it is run.
        codebook: How codes are compared, `normalised` or `plain`; None to see for oneself.

    Raises:
        WeightsError: The file is broken, or holds something else.
    """

    asked_last = True

    def __init__(self, path: Path, device: torch.device, trust: bool = False, codebook: Codes | None = None) -> None:
        self.hold(read_tokenizer(path, trust=trust, codebook=codebook), device)
        self.file = file_of(path)
        self.multiple, self.codebook_size = self.model.downsampling, len(self.model.codebook)
        self.weights_sha256 = sha256_of(self.file)
        self.facts: dict[str, object] = {"kind": self.found.kind, "notes": list(self.found.notes)}

    def hold(self, found: Found, device: torch.device) -> None:
        """Be this tokenizer, on a device, with every weight frozen."""
        self.found, self.model = found, found.model.to(device).eval().requires_grad_(False)
        self.module: nn.Module = self.model

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Whether a path may lead to the weights of a tokenizer: any file but an image, and folders that hold one."""
        try:
            return file_of(path).is_file() and not is_image(path.name)
        except RegionLossError:
            return False

    def encode(self, images: Tensor) -> Encoded:
        """Return the vectors (B, d, h, w) of the codes, and their ids (B, h * w), of images (B, 3, H, W) in [-1, 1]."""
        found = self.held_latents(images)
        return Encoded(found.latents, found.ids)

    def held_latents(self, images: Tensor) -> HeldLatents:
        """Return the same, and the quantizer's own loss."""
        if not isinstance(self.model, InsightTokenizer):  # of a plugin, or a repair: its ids are all that it tells
            ids = self.model.encode(images)
            return HeldLatents(ids.view(len(images), *self.model.grid((images.shape[2], images.shape[3]))), ids)
        vectors, commitment, ids = self.model.quantize(self.model.latents(images))
        return HeldLatents(vectors, ids, commitment=commitment)

    def decode(self, latents: Tensor) -> Tensor:
        """Return images (B, 3, H, W), not clamped, of the vectors that `encode` gives."""
        if isinstance(self.model, InsightTokenizer):
            return self.model.decode_latents(latents)
        if isinstance(self.model, ResidualTokenizer):
            return self.model.decode_rows(latents)
        return self.model.decode(latents.flatten(1), (latents.shape[1], latents.shape[2]))

    @property
    def parts(self) -> Mapping[str, tuple[nn.Module, ...]]:
        """Modules by name, as those of any; a repair has its second codebook and its residual decoder alone."""
        if isinstance(self.model, ResidualTokenizer):
            return {"decoder": (self.model.hints, self.model.decoder)}
        return super().parts

    @property
    def last_layer(self) -> nn.Parameter:
        """The weight of the decoder's last layer."""
        weight = self.model.last_layer
        assert isinstance(weight, nn.Parameter)
        return weight

    def save(self, path: Path) -> Path:
        """Write our own file, and beside it one under the published names, as the code of its kind loads it.

        Args:
            path: A folder, made where it is absent; what else is in it stays. Each file is complete or not there.

        Returns:
            The file under the published names; ours where it was one of ours, or a repair.

        Raises:
            InputError: The folder is that of the file, or the model no longer has the weights that were read.
            NotFiniteError: A weight is NaN or infinite, or would be in the file's precision.
            DiskError: The disk takes nothing.
        """
        if path.resolve() == self.file.resolve().parent:
            got = "the one that was read"
            raise InputError(expected(str(path), "another folder than that of the file", got, "Name another one."))
        tensors = as_stored(self.found)
        own = path / (REPAIR if self.found.kind == RESIDUAL else OURS)
        save_tokenizer(self.model, own)
        if self.found.kind not in ENTRIES:
            return own
        name = self.file.name if self.file.name != OURS else "published.safetensors"
        with whole(path / name) as temporary:
            if self.file.suffix == ".safetensors":
                save_file(tensors, temporary, metadata={"format": "pt"})
            else:
                torch.save({ENTRIES[self.found.kind]: tensors}, temporary)
        return path / name


def with_residual(found: TrainableAutoencoder) -> TokenizerFile:
    """Return a tokenizer with a second codebook and a residual decoder on top of it, which are all that can learn.

    Raises:
        InputError: It has no ids, or is no tokenizer file whose decoder is known, or is such a repair already.
    """
    where, wanted = "model.adapter 'residual'", "a tokenizer file of InsightTok's, LlamaGen's, taming's or ours"
    if isinstance(found, TokenizerFile) and isinstance(found.model, InsightTokenizer):
        repair, device = copy.copy(found), found.last_layer.device
        model = ResidualTokenizer(found.model, found.file)
        stored = {name: (name, value.dtype) for name, value in model.stored().items()}
        repair.hold(Found(model, RESIDUAL, (), found.found.notes, stored), device)
        return repair
    advice = "Leave it out: its decoder is tuned then."
    if found.codebook_size is None:
        raise InputError(expected(where, wanted, "an autoencoder whose latents are continuous", advice))
    if found.facts.get("kind") == RESIDUAL:
        raise InputError(expected(where, wanted, "one that has it", "Leave it out: what it has is tuned on."))
    kind = f"'{found.facts['class']}' of diffusers" if "class" in found.facts else "another tokenizer"
    raise InputError(expected(where, wanted, kind, advice))


def as_stored(found: Found) -> dict[str, Tensor]:
    """Return the tensors of a model under the names of its file, in their precision there, on the CPU."""
    held, tensors = found.model.state_dict(), {}
    missing = found.stored.keys() - held.keys()
    if missing:
        advice = "Merge adapters into the weights, and unwrap the module, before it is saved."
        raise InputError(
            expected("the tokenizer", "the weights that were read", f"none named '{min(missing)}'", advice)
        )
    for name, (other, dtype) in found.stored.items():
        tensor = held[name].detach().to("cpu", dtype).contiguous()
        if not bool(torch.isfinite(tensor).all()):
            raise NotFiniteError(expected(f"weight '{other}'", f"finite numbers in {dtype}", "NaN or infinite ones"))
        tensors[other] = tensor
    return tensors
