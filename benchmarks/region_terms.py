"""Our region terms against the loop that a user would write, on the same inputs, forward and backward.

    python -m benchmarks.region_terms [--device cuda] [--images 16] [--size 256] [--threads 2] [--rounds 5]

The loop goes over images and regions: crop, `interpolate` (or `grid_sample` for an aligned face), network on target
and reconstruction, distance. Both sides use the same frozen networks and give the same number. `network alone` is one
call of the network on crops that were cut before, target without gradient: no loss can be faster than its arithmetic.
Prints medians of alternating rounds, and ratios. Last the extractor `rectified` beside `resize`, on the same words: as
boxes, turned by 20 degrees, and every other one of them turned; the least of each, on a CPU in processor time.
"""

from __future__ import annotations

import argparse
import copy
import functools
import math
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

import regionloss as rl
from regionloss.extractors import fit_similarity
from regionloss.testing.fakes import noise_images

Step = Callable[[], Tensor]


def inputs(count: int, size: int, device: str) -> tuple[Tensor, Tensor, dict[str, rl.Regions]]:
    """Return reconstruction, target, and two texts and one face in every image."""
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(2 * count, 2, generator=generator) * torch.tensor([0.5, 0.8])
    extent = torch.rand(2 * count, 2, generator=generator) * torch.tensor([0.25, 0.06]) + torch.tensor([0.2, 0.07])
    texts = (torch.cat([corner, corner + extent], 1) * size).round()
    left = torch.rand(count, 2, generator=generator) * 0.5
    side = torch.rand(count, 1, generator=generator) * 0.2 + 0.25
    faces = torch.cat([left, left + side], 1) * size
    template = torch.tensor([[0.3, 0.35], [0.7, 0.35], [0.5, 0.55], [0.35, 0.75], [0.65, 0.75]])
    keypoints = faces[:, None, :2] + template * (faces[:, 2:] - faces[:, :2])[:, None]
    shape = (size, size)
    regions = {
        "text": rl.Regions("text", texts, torch.arange(count).repeat_interleave(2), shape, count),
        "face": rl.Regions("face", faces, torch.arange(count), shape, count, keypoints=keypoints),
    }
    target = noise_images(count, shape).to(device)
    reconstruction = (target + 0.1 * noise_images(count, shape, seed=1).to(device)).requires_grad_()
    return reconstruction, target, {kind: r.to(device) for kind, r in regions.items()}


def crop_of(loss: rl.RegionPerceptualLoss, image: Tensor, regions: rl.Regions, n: int) -> Tensor:
    """Return one region's crop as a user would cut it: (1, 3, h, w)."""
    height, width = loss.extractor.size or (0, 0)
    if regions.keypoints is None:
        x1, y1, x2, y2 = (int(v) for v in regions.boxes[n])
        return F.interpolate(image[None, :, y1:y2, x1:x2], (height, width), mode="bilinear", antialias=True)
    matrix, offset = fit_similarity(regions.keypoints[n : n + 1], loss.extractor.template.to(image))
    inverse = matrix[0].inverse()
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    points = (torch.stack([x, y], -1).to(image) + 0.5 - offset[0]) @ inverse.T
    grid = points / torch.tensor([image.shape[2], image.shape[1]]).to(image) * 2 - 1
    return F.grid_sample(image[None], grid[None], align_corners=False)


def user_loop(
    term: rl.Term, network: torch.nn.Module, reconstruction: Tensor, target: Tensor, regions: rl.Regions
) -> Tensor:
    """Return the term's value by the plain loop over images and regions."""
    loss, total = term.loss, torch.zeros((), device=target.device)
    spec = loss.backbone.input_spec
    pick = loss.backbone.out_indices
    area = target.shape[2] * target.shape[3]
    for image in range(len(target)):
        for n in (regions.image_index == image).nonzero().flatten().tolist():
            pair = [spec(crop_of(loss, x[image], regions, n)) for x in (reconstruction, target)]
            ours, theirs = ([network(crop)[i] for i in pick] for crop in pair)
            levels = [(a - b).square().sum(1).mean() for a, b in zip(ours, theirs, strict=True)]
            x1, y1, x2, y2 = regions.boxes[n]
            total = total + sum(levels) / len(levels) * (x2 - x1) * (y2 - y1) / area
    return total / len(target)


def steps(terms: rl.LossTerms, name: str, data: tuple[Tensor, Tensor, dict[str, rl.Regions]]) -> dict[str, Step]:
    """Return the three things that are timed for one term; each gives a value that has been differentiated."""
    reconstruction, target, regions = data
    term = terms[name]
    with torch.no_grad():
        crops, target_crops = (term.loss.extractor(x, regions[term.kind]) for x in (reconstruction, target))
    leaf = crops.clone().requires_grad_()
    # A user's network is in torch's usual memory format.
    network = copy.deepcopy(term.loss.backbone.network).to(reconstruction.device, memory_format=torch.contiguous_format)

    def back(value: Tensor, x: Tensor) -> Tensor:
        torch.autograd.grad(value, x)
        return value.detach()

    return {
        "ours": lambda: back(term.loss(reconstruction, target, regions[term.kind]), reconstruction),
        "loop": lambda: back(user_loop(term, network, reconstruction, target, regions[term.kind]), reconstruction),
        "network alone": lambda: back(term.loss.compare(leaf, target_crops).sum(), leaf),
    }


def measure(
    candidates: dict[str, Step], rounds: int, device: str, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Return the seconds of each candidate, taken in turn after one warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name, step in candidates.items():
            start = clock()
            step()
            if device != "cpu":
                torch.cuda.synchronize()
            if turn:
                seconds[name].append(clock() - start)
    return seconds


def extractors(data: tuple[Tensor, Tensor, dict[str, rl.Regions]]) -> dict[str, Step]:
    """Return what is timed of the extractors alone: each cuts the words and differentiates what it cut."""
    reconstruction, _, regions = data
    text = regions["text"]
    cos, sin = math.cos(math.radians(20)), math.sin(math.radians(20))
    half = (text.boxes[:, 2:] - text.boxes[:, :2]) / 2
    corners = text.boxes.new_tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half[:, None]
    quads = corners @ corners.new_tensor([[cos, sin], [-sin, cos]]) + (text.boxes[:, :2] + half)[:, None]
    some = quads.clone()
    some[::2] = torch.nan
    device = reconstruction.device
    turned, mixed = (rl.Regions(**{**vars(text.to("cpu")), "quads": q.cpu()}).to(device) for q in (quads, some))
    resize, rectified = rl.ResizeExtractor(), rl.RectifiedExtractor()
    cases = {
        "resize": (resize, text),
        "rectified, boxes": (rectified, text),
        "rectified, 20 degrees": (rectified, turned),
        "rectified, half of each": (rectified, mixed),
    }

    def step(cut: rl.RegionExtractor, given: rl.Regions) -> Tensor:
        value = cut(reconstruction, given).sum()
        torch.autograd.grad(value, reconstruction)
        return value.detach()

    return {name: functools.partial(step, *case) for name, case in cases.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = inputs(options.images, options.size, options.device)
    terms = rl.LossTerms.from_names({"text": 0.0025, "face": 0.02})
    print(
        f"{options.images} images of {options.size} px, 2 texts and 1 face each, "
        f"{options.device}, {options.threads} threads"
    )
    whole: dict[str, float] = {}
    for name in ("text", "face"):
        candidates = steps(terms, name, data)
        values = {key: float(step()) for key, step in candidates.items()}
        seconds = {key: statistics.median(s) for key, s in measure(candidates, options.rounds, options.device).items()}
        agreement = abs(values["ours"] - values["loop"]) / values["loop"]
        print(f"\n{name}: ours and the loop differ by {agreement:.1e} of the value")
        for key, value in seconds.items():
            whole[key] = whole.get(key, 0) + value
            print(f"  {key:14} {value * 1e3:9.1f} ms   loop / this = {seconds['loop'] / value:5.2f}")
    print("\ntext + face")
    for key, value in whole.items():
        print(f"  {key:14} {value * 1e3:9.1f} ms   loop / this = {whole['loop'] / value:5.2f}")
    print("\nextractors alone, forward and backward")
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    measured = measure(extractors(data), options.rounds, options.device, clock)
    seconds = {key: min(s) for key, s in measured.items()}
    for key, value in seconds.items():
        print(f"  {key:24} {value * 1e3:9.1f} ms   this / resize = {value / seconds['resize']:5.2f}")


if __name__ == "__main__":
    main()
