"""Fine-tune diffusers' AutoencoderKL or VQModel with text and face terms, beside the same steps without them.

    python examples/finetune_autoencoder.py                        # small, random weights, trained a little first
    python examples/finetune_autoencoder.py --weights sd-vae/      # a folder of yours, as `save_pretrained` writes it
    python examples/finetune_autoencoder.py --images photos/ --save tuned/

It needs `pip install diffusers`. Nothing is downloaded. With small random weights it takes a minute or two on
two CPU cores. The pictures that it brings are in the public domain: Eileen Collins (NASA, ships in scikit-image), Grace
Hopper (US Navy, ships in matplotlib); their names are drawn on them.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path
from typing import Any

import matplotlib
import skimage.data
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor

import regionloss as rl
from regionloss.data.images import to_image
from regionloss.data.shards import list_images

DETECTORS = {"text": ("text/ppocr", {"threshold": 0.7}), "face": ("face/mtcnn", {})}
KINDS = {"kl": "AutoencoderKL", "vq": "VQModel"}
SMALL = {
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "block_out_channels": (12, 24, 32),
    "norm_num_groups": 4,
    "latent_channels": 8,
}


def build(kind: str, weights: Path | None) -> torch.nn.Module:
    """Return the model of a folder, or a small one with random weights."""
    try:
        import diffusers
    except ImportError:
        raise SystemExit("This example needs diffusers, which is not installed. Run: pip install diffusers") from None
    if weights is None:
        return getattr(diffusers, KINDS[kind])(**SMALL)
    config = weights / "config.json"
    if not config.is_file():
        raise SystemExit(f"{weights}: expected a folder with config.json, as `save_pretrained` writes it, got none.")
    name = json.loads(config.read_text(encoding="utf-8")).get("_class_name")
    if name not in KINDS.values():
        raise SystemExit(f"{config}: expected {' or '.join(KINDS.values())}, got {name}.")
    return getattr(diffusers, name).from_pretrained(weights, local_files_only=True)


def portraits(size: int) -> list[Image.Image]:
    """Return two portraits with their names on them."""
    collins = Image.fromarray(skimage.data.astronaut()).crop((110, 0, 340, 230))
    hopper = Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg").convert("RGB")
    pictures = [collins, hopper.crop((30, 20, 470, 460))]
    font = ImageFont.truetype(
        str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"), size // 7
    )
    for number, name in enumerate(("COLLINS", "HOPPER")):
        pictures[number] = pictures[number].resize((size, size), Image.Resampling.LANCZOS)
        draw = ImageDraw.Draw(pictures[number])
        draw.text((size // 16, size * 0.79), name, fill="white", font=font, stroke_width=2, stroke_fill="black")
    return pictures


def pictures_of(folder: Path | None, size: int) -> list[Image.Image]:
    """Return the squares in the middle of a folder's pictures, or the portraits."""
    if folder is None:
        return portraits(size)
    found = [ImageOps.fit(rl.read_image(path), (size, size), Image.Resampling.LANCZOS) for path in list_images(folder)]
    if not found:
        raise SystemExit(f"{folder}: expected pictures, got none.")
    return found


def reconstruct(model: torch.nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return reconstructions, and the model's own loss of its codes."""
    if hasattr(model, "quantize"):
        decoded = model(images)
        return decoded.sample, decoded.commit_loss.mean()
    latents = model.encode(images).latent_dist
    return model.decode(latents.sample()).sample, 1e-6 * latents.kl().mean()


def batch_of(
    images: Tensor, regions: dict[str, rl.Regions], step: int, size: int
) -> tuple[Tensor, dict[str, rl.Regions]]:
    """Return the images of a step with their regions."""
    chosen = [(step * size + i) % len(images) for i in range(min(size, len(images)))]
    own = [{kind: found.of_image(image) for kind, found in regions.items()} for image in chosen]
    return images[chosen], rl.collate_regions(own)[0]


def train(
    model: torch.nn.Module, images: Tensor, regions: Any, terms: rl.LossTerms | None, steps: int, rate: float
) -> None:
    """Train a model in place: L1, its codes' loss, and the region terms if there are any."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for step in range(steps):
        target, own = batch_of(images, regions, step, size=4)
        reconstruction, codes = reconstruct(model, target)
        loss = (reconstruction - target).abs().mean() + codes
        if terms is not None:
            loss = loss + terms(reconstruction, target, own).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"  step {step:4d}  loss {loss.item():.4f}", flush=True)


@torch.no_grad()
def measured(
    model: torch.nn.Module, images: Tensor, regions: Any, terms: rl.LossTerms
) -> tuple[Tensor, dict[str, float]]:
    """Return reconstructions, their PSNR, and each term."""
    found = torch.cat([reconstruct(model, image[None])[0] for image in images])
    values = {name: float(value) for name, value in terms(found, images, regions).by_term.items()}
    mse = (found.clamp(-1, 1) - images).pow(2).mean()
    return found.clamp(-1, 1), {"PSNR, dB": float(10 * torch.log10(4 / mse)), **values}


def run(options: argparse.Namespace) -> tuple[dict[str, Tensor], dict[str, dict[str, float]], torch.nn.Module]:
    """Return images and figures of each state, and the model that was trained with the terms."""
    torch.manual_seed(options.seed)
    model = build(options.model, options.weights).train()
    images = torch.cat([rl.to_tensor([picture]) for picture in pictures_of(options.images, options.size)])
    regions = {kind: rl.detect(images, name, own) for kind, (name, own) in DETECTORS.items()}
    print(", ".join(f"{len(found)} {kind} regions" for kind, found in regions.items()), f"in {len(images)} images")
    terms = rl.LossTerms.from_names({"text": options.text, "face": options.face})
    if options.weights is None:
        print("first, without terms:")
        train(model, images, regions, None, options.first_steps, 3e-3)
    models = {"before": copy.deepcopy(model)}
    for name, own in (("without terms", None), ("with terms", terms)):
        print(f"fine-tuned {name}:")
        models[name] = copy.deepcopy(model)
        torch.manual_seed(options.seed)
        train(models[name], images, regions, own, options.steps, options.rate)
    found = {name: measured(one.eval(), images, regions, terms) for name, one in models.items()}
    shown = {"original": images} | {name: pictures for name, (pictures, _) in found.items()}
    return shown, {name: figures for name, (_, figures) in found.items()}, models["with terms"]


def save_sheet(images: dict[str, Tensor], out: Path) -> None:
    """Save the first four images, a column a state."""
    columns = [torch.cat(list(batch[:4]), 1) for batch in images.values()]
    out.parent.mkdir(parents=True, exist_ok=True)
    to_image(torch.cat(columns, 2)).save(out)


def picture(name: str) -> Path:
    """Return a path that a picture can be saved under: said before minutes of training, not after."""
    path = Path(name)
    if path.suffix.lower() not in (".png", ".jpg", ".webp"):
        raise argparse.ArgumentTypeError(f"expected a name that ends in .png, .jpg or .webp, got '{name}'")
    return path


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=KINDS, default="kl", help="for random weights")
    parser.add_argument("--weights", type=Path, help="folder with config.json and weights")
    parser.add_argument("--images", type=Path, help="folder with pictures")
    parser.add_argument("--size", type=int, default=96, help="side of the images, a multiple of 16")
    parser.add_argument("--first-steps", type=int, default=250, help="steps from random weights")
    parser.add_argument("--steps", type=int, default=80, help="steps of fine-tuning, with terms and without")
    parser.add_argument("--rate", type=float, default=5e-4, help="learning rate of fine-tuning")
    # About as strong as L1 in the pixels' gradient, on these pictures; other networks want other weights.
    parser.add_argument("--text", type=float, default=0.0025, help="weight of the text term")
    parser.add_argument("--face", type=float, default=0.002, help="weight of the face term")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=picture, default=Path("finetuned.png"), help="picture to write")
    parser.add_argument("--save", type=Path, help="folder for the model that was trained with terms")
    return parser.parse_args(arguments)


def main() -> None:
    options = parsed()
    images, figures, model = run(options)
    for state, values in figures.items():
        print(f"{state:>14}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()))
    save_sheet(images, options.out)
    print(f"picture: {options.out} (columns: {', '.join(images)})")
    if options.save is not None:
        model.save_pretrained(options.save)
        print(f"model: {options.save}")


if __name__ == "__main__":
    main()
