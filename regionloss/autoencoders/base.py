"""What an autoencoder is to those who evaluate it, and to those who train it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from regionloss.autoencoders.parts import last_layer_of, learning_of, parts_of
from regionloss.autoencoders.recomputation import set_recomputed, units_of
from regionloss.errors import InputError, UnknownNameError, did_you_mean, expected

#: Parts that an autoencoder may have, in the order in which images pass them.
PARTS = ("encoder", "quantizer", "decoder")


class Output(NamedTuple):
    """What an autoencoder gave back: images (B, 3, H, W) around [-1, 1]; the ids (B, n) of its codes, if it has any."""

    images: Tensor
    ids: Tensor | None = None


class Encoded(NamedTuple):
    """What a decoder takes, of images: latents of any shape (B, ...); the ids (B, n) of its codes, if it has any."""

    latents: Tensor
    ids: Tensor | None = None


class HeldLatents(NamedTuple):
    """What an encoder that learns needs beside `Encoded`, which its latents and ids are.

    The logarithm of the variance of the latents (B, ...), where they have a distribution; the loss (0-d) that draws
    encoder and codes to one another, where there are codes.
    """

    latents: Tensor
    ids: Tensor | None = None
    logvar: Tensor | None = None
    commitment: Tensor | None = None


class Autoencoder(Protocol):
    """An autoencoder that was read from a file or a folder: images in [-1, 1] to codes or latents, and back.

    Registered with the hook `register_autoencoders` as a class; what is read is looked at by each class until one
    accepts it. One that can be trained as well is a `TrainableAutoencoder`.

    Attributes:
        multiple: Sides of images are multiples of so many pixels.
        codebook_size: Number of codes; None where latents are continuous.
        weights_sha256: Hash of its weights.
        facts: Words and numbers about it that tables show beside its name.
    """

    multiple: int
    codebook_size: int | None
    weights_sha256: str
    facts: dict[str, object]

    def __init__(self, path: Path, device: torch.device, **options: object) -> None:
        """Read it. Raises InputError or WeightsError where it cannot be read."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Whether a file or folder is of this kind, at a quick look that reads no weights."""
        ...

    def reconstruct(self, images: Tensor) -> Output:
        """Return the images (B, 3, H, W) in [-1, 1] as they come back, on the CPU, of their size."""
        ...


class TrainableAutoencoder(ABC):
    """An `Autoencoder` whose weights can be trained and written back as they were found.

    One class reads one kind of file or folder; its constructor sets the attributes. The module stays in evaluation mode
    while it is trained, so that neither noise nor statistics change what a frozen part gives.

    Attributes:
        module: Every weight, float32 unless asked otherwise; all of them frozen until `set_trainable`.
        multiple: Sides of images are multiples of so many pixels.
        side: The one side of images that it takes; None where any multiple serves.
        codebook_size: Number of codes; None where latents are continuous.
        weights_sha256: Hash of the weights that were read.
        facts: Words and numbers about it that tables show beside its name; `notes`, if there, are sentences to print.
        asked_last: Whether other classes that accept the same file go first: of one that cannot tell without reading.

    A whole one, of patches:

    ```python
    from pathlib import Path

    import torch
    from torch import Tensor, nn

    from regionloss.autoencoders import Encoded, TrainableAutoencoder
    from regionloss.disk import whole
    from regionloss.weights import load_strictly, sha256_of


    class PatchFile(TrainableAutoencoder):
        multiple = 8

        def __init__(self, path: Path, device: torch.device) -> None:
            encoder, decoder = nn.Conv2d(3, 48, 8, stride=8), nn.ConvTranspose2d(48, 3, 8, stride=8)
            self.module = nn.ModuleDict({"encoder": encoder, "decoder": decoder}).to(device).eval()
            load_strictly(self.module.requires_grad_(False), path)
            self.weights_sha256, self.facts = sha256_of(path), {"kind": "patches"}

        @classmethod
        def accepts(cls, path: Path) -> bool:
            return path.suffix == ".patches"

        def encode(self, images: Tensor) -> Encoded:
            return Encoded(self.module["encoder"](images))

        def decode(self, latents: Tensor) -> Tensor:
            return self.module["decoder"](latents)

        def save(self, path: Path) -> Path:
            with whole(path / "model.patches") as temporary:
                torch.save(self.module.state_dict(), temporary)
            return path / "model.patches"
    ```
    """

    module: nn.Module
    multiple: int
    side: int | None = None
    codebook_size: int | None = None
    weights_sha256: str
    facts: dict[str, object]
    asked_last: bool = False

    @abstractmethod
    def __init__(self, path: Path, device: torch.device) -> None:
        """Read it, options of its own beside. Raises InputError or WeightsError where it cannot be read."""

    @classmethod
    @abstractmethod
    def accepts(cls, path: Path) -> bool:
        """Whether a file or folder is of this kind, at a quick look that reads no weights."""

    @abstractmethod
    def encode(self, images: Tensor) -> Encoded:
        """Return what the decoder takes: the mode of the latents, or the vectors of the codes; no noise is drawn.

        Args:
            images: (B, 3, H, W) in [-1, 1], on the module's device.
        """

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Return images (B, 3, H, W) around [-1, 1], not clamped, of the latents that `encode` gives."""

    def held_latents(self, images: Tensor) -> HeldLatents:
        """Return what `encode` does, and what an encoder that learns is held by; of one that says nothing, nothing."""
        return HeldLatents(*self.encode(images))

    @abstractmethod
    def save(self, path: Path) -> Path:
        """Write what whoever wrote the original can load: same names, same configuration, same precision.

        Args:
            path: A folder, made where it is absent; what else is in it stays. Each file is complete or not there.

        Returns:
            The one file in it for programs that load single files, under the names that they expect.

        Raises:
            InputError: The module no longer has the weights that were read, by their names, or the folder holds others.
            NotFiniteError: A weight is NaN or infinite, or would be in the file's precision.
            DiskError: The disk takes nothing.
        """

    @property
    def parts(self) -> Mapping[str, tuple[nn.Module, ...]]:
        """Modules by name: those of `PARTS` that there are, without overlap, then blocks of the decoder.

        Those of a module with an `encoder` and a `decoder`; `quantize`, `quant_conv` and `post_quant_conv` are theirs.
        """
        return parts_of(self.module)

    @property
    def last_layer(self) -> nn.Parameter:
        """The weight of the decoder's last layer, where gradients of losses are compared."""
        return last_layer_of(self.parts["decoder"][-1])

    def set_checkpointing(self, on: bool) -> bool:
        """Recompute the activations of the decoder's blocks in backward, or keep them; return whether it can do so."""
        blocks = list(units_of(self.parts["decoder"][-1]))
        set_recomputed(blocks, on)
        return bool(blocks)

    def set_trainable(self, parts: Iterable[str] = ("decoder",)) -> list[nn.Parameter]:
        """Let only these parts learn, in evaluation mode all the same; return their weights, or those of adapters.

        Args:
            parts: Names of `parts`.

        Raises:
            UnknownNameError: There is no such part.
            InputError: Nothing would learn.
        """
        known, wanted = self.parts, list(parts)
        for name in wanted:
            if name not in known:
                raise UnknownNameError(f"no part of the autoencoder is named {name!r}. {did_you_mean(name, known)}")
        self.module.eval().requires_grad_(False)
        learning = [weight for name in wanted for module in known[name] for weight in learning_of(module)]
        if not learning:
            got = f"{', '.join(map(repr, wanted))} without weights" if wanted else "none"
            raise InputError(expected("parts", "one that learns", got, "'decoder' keeps the latents."))
        for weight in learning:
            weight.requires_grad_()
        return list(dict.fromkeys(learning))

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Output:
        """Return the images (B, 3, H, W) in [-1, 1] as they come back, on the CPU."""
        like = self.last_layer
        latents, ids = self.encode(images.to(like.device, like.dtype))
        return Output(self.decode(latents).float().cpu(), None if ids is None else ids.cpu())
