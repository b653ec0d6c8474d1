"""The test images of a run as evaluations take them: their regions, their pixels beside another implementation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from insighttok_ref.trainers.tokenizer.held_out import WHOLE, HeldOut, Pixels, Reconstructed
from regionloss.data.batches import Batch
from regionloss.evaluation.pairs import Pair
from regionloss.regions import Regions

SIZE = 32


def batch(kind: str, seed: int) -> Batch:
    pixels = torch.randint(0, 256, (3, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    boxes = torch.tensor([[4.0, 6.0, 28.0, 18.0], [1.0, 20.0, 9.0, 30.0]])
    texts = ("Word", "other") if kind == "text" else None
    return Batch(pixels, {kind: Regions(kind, boxes, torch.tensor([0, 2]), (SIZE, SIZE), 3, texts=texts)})


@pytest.fixture
def test_images() -> dict[str, Batch]:
    return {"text": batch("text", 0), "face": batch("face", 1)}


def pair(test: dict[str, Batch], key: str) -> Pair:
    noise = {name: (one.images * 0.8 + 0.3) for name, one in test.items()}
    ids = {name: torch.arange(12).reshape(3, 4) for name in test}
    original = HeldOut(test).read(key)
    return Pair(original, Reconstructed("ours", "x", noise, ids, 16, {}).of(original))


def test_each_image_has_its_regions_its_set_and_itself(test_images: dict[str, Batch]) -> None:
    held = HeldOut(test_images)
    assert held.names() == [f"{name}/{i:05d}" for name in ("text", "face") for i in range(3)]
    found = held.read("text/00002")
    assert torch.equal(found.image, test_images["text"].images[2])
    assert [(one.kind, one.text, one.box) for one in found.instances] == [
        (WHOLE, None, (0.0, 0.0, 32.0, 32.0)),
        ("text", "other", (1.0, 20.0, 9.0, 30.0)),
    ]
    assert {tuple(one.columns.items()) for one in found.instances} == {(("set", "text"),)}
    assert len(held.read("face/00001").instances) == 1


def test_crops_of_one_picture_say_so(test_images: dict[str, Batch]) -> None:
    """Intervals draw pictures; without names each image stands for itself."""
    named = replace(test_images["text"], sources=("text/a.png", "text/b.png", "text/a.png"))
    held = HeldOut({"text": named, "face": test_images["face"]})
    assert [held.read(f"text/{i:05d}").owner for i in range(3)] == list(named.sources)
    assert held.read("face/00001").owner == ""


def test_the_mark_of_the_images_changes_with_any_of_them(test_images: dict[str, Batch]) -> None:
    first = HeldOut(test_images).identity
    assert first == HeldOut({"text": batch("text", 0), "face": batch("face", 1)}).identity
    other = test_images["text"].regions["text"]
    moved = replace(other, texts=("Word", "others"))
    assert first != HeldOut(test_images | {"text": replace(test_images["text"], regions={"text": moved})}).identity
    assert first != HeldOut(test_images | {"face": batch("face", 2)}).identity


def test_psnr_equals_scikit_image_s_on_what_a_viewer_shows(test_images: dict[str, Batch]) -> None:
    one = pair(test_images, "text/00000")
    found = Pixels(["text"]).examine(one).values
    target = test_images["text"].pixels[0].numpy()
    shown = ((test_images["text"].images[0] * 0.8 + 0.3).clamp(-1, 1) * 127.5 + 127.5).round().byte().numpy()
    inside = np.zeros((SIZE, SIZE), bool)
    inside[6:18, 4:28] = True
    for name, where in (("psnr", inside | True), ("psnr_inside", inside), ("psnr_outside", ~inside)):
        reference = peak_signal_noise_ratio(target[:, where], shown[:, where], data_range=255)
        assert found[name] == pytest.approx(reference, rel=1e-6)
    assert "psnr_inside" not in Pixels([]).examine(pair(test_images, "text/00001")).values


def test_what_no_judge_looks_at_is_shown_without_a_score(test_images: dict[str, Batch]) -> None:
    one = pair(test_images, "face/00000")
    found = Pixels(["text"]).examine(one).verdicts
    assert [(v.number, v.judge, list(v.values)) for v in found] == [(0, "", ["psnr"]), (1, "", [])]
    assert [v.number for v in Pixels(["face"]).examine(one).verdicts] == [0]
