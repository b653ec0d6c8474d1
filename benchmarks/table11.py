"""The paper's Table 11 from our code: what each component of InsightTok's training computes for one image.

    python -m benchmarks.table11

2 x MAC of the forward pass, counted by torch, mostly on the meta device, where nothing is computed; no weights are
needed. As in the paper one face and two texts an image, and the whole recognisers. Our terms leave out what no compared
level needs (the face's embedding, the text's transformer and reader) and run on target and reconstruction: also shown.
The text network is MMOCR's: pip install 'regionloss-text[mmocr]'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from insighttok_ref.objective.adversarial import PatchGAN
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer


class Component(NamedTuple):
    """A row: what is computed, how often, the weights that are counted, and the paper's GFLOPs, weights and share."""

    name: str
    instances: int
    size: tuple[int, int]
    forward: Callable[[Tensor], Any]
    weights: int
    paper: tuple[float, str, float]
    device: str = "meta"

    @property
    def gflops(self) -> float:
        """Billions of operations for one image."""
        one = gflops(lambda: self.forward(torch.zeros(1, 3, *self.size, device=self.device)))
        return self.instances * one


def gflops(work: Callable[[], Any]) -> float:
    """Return the billions of operations, 2 x MAC, that `work()` takes."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return counter.get_total_flops() / 1e9


def size_of(*modules: nn.Module) -> int:
    """Return the number of weights."""
    return sum(weight.numel() for module in modules for weight in module.parameters())


def text_parts() -> tuple[nn.Module, nn.Module, nn.Module]:
    """Return the ResNet, the transformer and the reader of ABINet's vision model, with random weights."""
    from regionloss_text.mmocr.abinet import CONFIG, STAGES
    from regionloss_text.mmocr.configs import build, read_config

    model = read_config(CONFIG, "benchmarks.table11").model
    reader = {**model.decoder.vision_decoder, "dictionary": model.decoder.dictionary}
    resnet = build({**model.backbone, "out_indices": STAGES})
    return resnet.eval(), build(model.encoder).eval(), build(reader).eval()


def components() -> list[Component]:
    """Return the rows of the table."""
    from regionloss_face.iresnet import IResNet

    with torch.device("meta"):
        autoencoder, discriminator, face = InsightTokenizer().eval(), PatchGAN().eval(), IResNet().eval()
    resnet, transformer, reader = text_parts()

    def read(crops: Tensor) -> Any:
        features = resnet(crops)[-1]
        return reader(features, transformer(features, None))

    weights = size_of(autoencoder) + autoencoder.codebook.numel()
    return [
        Component("autoencoder", 1, (256, 256), autoencoder, weights, (2575, "426M", 98.32)),
        Component("discriminator", 1, (256, 256), discriminator, size_of(discriminator), (6.3, "2.8M", 0.24)),
        Component("face model", 1, (112, 112), face.embed, size_of(face), (12.6, "43.6M", 0.48)),
        Component("text model", 2, (32, 128), read, size_of(resnet, transformer, reader), (25.0, "23.5M", 0.95), "cpu"),
    ]


def in_terms() -> dict[str, float]:
    """Return the GFLOPs of our terms for one image: the compared levels, on target and reconstruction."""
    from regionloss_face.iresnet import IResNet

    with torch.device("meta"):
        face = IResNet().eval()
    resnet = text_parts()[0]
    faces, texts = torch.zeros(2, 3, 112, 112, device="meta"), torch.zeros(4, 3, 32, 128)
    return {"face term": gflops(lambda: face(faces)), "text term": gflops(lambda: resnet(texts))}


def main() -> None:
    rows = components()
    counted = [row.gflops for row in rows]
    print(f"{'':14} {'inputs':>13} {'weights':>12} {'GFLOPs':>9} {'share':>7}   paper: weights  GFLOPs   share")
    for row, value in zip(rows, counted, strict=True):
        flops, weights, share = row.paper
        inputs = f"{row.instances} x {row.size[0]} x {row.size[1]}"
        print(
            f"{row.name:14} {inputs:>13} {row.weights:12,} {value:9.3f} {100 * value / sum(counted):6.2f}%"
            f"   {weights:>14} {flops:7g} {share:6.2f}%"
        )
    for name, value in in_terms().items():
        print(f"{name:14} as trained, target and reconstruction: {value:.2f} GFLOPs, {100 * value / counted[0]:.2f}%")


if __name__ == "__main__":
    main()
