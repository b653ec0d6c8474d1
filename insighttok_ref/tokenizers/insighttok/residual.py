"""The repair of a tokenizer whose ids stay: a second codebook under the same ids, and a residual decoder."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from insighttok_ref.quantizers.base import Quantizer
from insighttok_ref.tokenizers.base import Tokenizer, TokenizerOutput
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer, check_ids
from regionloss.errors import UnknownNameError, WeightsError, did_you_mean, expected

#: What its configuration is known by, and the prefix of what its file leaves to the base's.
RESIDUAL, BASE = "residual", "base."


class ResidualTokenizer(Tokenizer):
    """A frozen tokenizer, and what a second decoder adds to its images: `D(q) + R(q + hints[ids])`.

    q (B, z, h, w) is what the frozen decoder D takes of the ids. R begins as a copy of D whose last layer is zero, and
    so do the hints: before the first step images are those of the base, bit for bit. Ids are the base's for good.

    The paper draws R at random, has a narrow table of hints behind a projection, and trains R on the residual with
    losses of its own (edges, frequencies); here R and the hints learn by the losses of their sum.

    Args:
        base: The tokenizer; its weights are frozen.
        file: Its file, which the file of this one names.

    Source: Mao et al., Residual Decoder Adapter (CVPR 2026), restated.
    """

    def __init__(self, base: InsightTokenizer, file: Path) -> None:
        super().__init__()
        self.base = base.eval().requires_grad_(False)
        self.hints = nn.Embedding.from_pretrained(
            base.last_layer.new_zeros(base.codebook_size, base.config["z_channels"]), freeze=False
        )
        self.decoder = copy.deepcopy(base.decoder).requires_grad_()
        for weight in self.decoder.conv_out.parameters():
            nn.init.zeros_(weight)
        self.downsampling = base.downsampling
        told = {"file": str(file.resolve()), "fingerprint": base.fingerprint, "codebook": base.quantize.described()}
        self.config: dict[str, Any] = {"use": RESIDUAL, "base": told}

    @property
    def quantize(self) -> Quantizer:  # type: ignore[override]
        """The base's quantizer."""
        return self.base.quantize

    @property
    def last_layer(self) -> Tensor:
        """The weight of the residual decoder's last layer."""
        return self.decoder.conv_out.weight

    @property
    def layout(self) -> Mapping[str, Any]:
        """What decides ids and images beside the tensors of its own."""
        return {"use": RESIDUAL, "base": self.config["base"]["fingerprint"]}

    @property
    def writers(self) -> tuple[str, ...]:
        """Fingerprints of the tokenizers whose ids it decodes: its own, and the base's."""
        return (*super().writers, self.config["base"]["fingerprint"])

    def train(self, mode: bool = True) -> ResidualTokenizer:
        """Let what it adds train; the base stays in evaluation mode."""
        super().train(mode)
        self.base.eval()
        return self

    def stored(self) -> dict[str, Tensor]:
        """Return the hints and the residual decoder; the base has a file."""
        return {name: value for name, value in super().stored().items() if not name.startswith(BASE)}

    def grid(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return rows and columns of tokens for an image of (H, W) pixels."""
        return self.base.grid(image_size)

    def forward(self, x: Tensor) -> TokenizerOutput:
        """Reconstruct images (B, 3, H, W) in [-1, 1]; there is no commitment, since nothing before the ids learns."""
        ids = self.encode(x)
        rows = ids.unflatten(1, self.grid((x.shape[2], x.shape[3])))
        return TokenizerOutput(self.decode_rows(rows), x.new_zeros(()), ids)

    def encode(self, x: Tensor) -> Tensor:
        """Return the base's ids (B, n), row by row."""
        return self.base.encode(x)

    def decode(self, ids: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return images (B, 3, H, W), not clamped, of ids (B, n)."""
        check_ids(ids, grid, self.codebook_size)
        return self.decode_rows(ids.unflatten(1, grid))

    def decode_rows(self, ids: Tensor) -> Tensor:
        """Return images (B, 3, H, W), not clamped, of ids (B, h, w) that are not looked at."""
        with torch.no_grad():
            q = self.base.widened(self.quantize.lookup(ids.flatten(1), (ids.shape[1], ids.shape[2])))
            images = self.base.decoder(q)
        return self.base.unfolded(images + self.decoder(q + self.hints(ids).permute(0, 3, 1, 2)))

    def set_trainable(self, parts: Iterable[str]) -> None:
        """Let the hints and the residual decoder learn, which are its "decoder"; nothing else can.

        Raises:
            UnknownNameError: Another part is named.
        """
        for name in sorted(set(parts) - {"decoder"}):
            raise UnknownNameError(f"no part of a repair is named {name!r}. {did_you_mean(name, ['decoder'])}")
        self.hints.requires_grad_()
        self.decoder.requires_grad_()


def base_places(path: Path, file: str) -> list[Path]:
    """Return where the base of a file may lie, as far as there are such files: beside it, then where it lay."""
    places = dict.fromkeys((path.resolve().with_name(Path(file).name), Path(file)))
    return [place for place in places if place.is_file() and not place.samefile(path)]


def no_base(path: Path, told: Mapping[str, str], seen: Sequence[Path]) -> WeightsError:
    """Return the sentence for a file whose base is not there, or is another one."""
    name = Path(told["file"]).name
    wanted = f"the tokenizer that it repairs, '{name}' of fingerprint {told['fingerprint'][:12]}"
    got = f"another one ({', '.join(map(str, seen))})" if seen else "no such file"
    return WeightsError(expected(str(path), wanted, got, f"Put '{name}' beside it, or where it lay: {told['file']}."))
