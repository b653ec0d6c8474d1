"""The contract of a feature backbone, for each of this plugin's."""

from __future__ import annotations

import pytest
import torch

from regionloss.errors import InputError, WeightsError

pytestmark = pytest.mark.weights
CRNN, NANO, CRAFT = "crnn-english-g2", "nano-ocr", "craft-trunk"
FILES = {CRNN: "english-g2", NANO: "nano-ocr", CRAFT: "craft-mlt-25k"}
SIZES = {CRNN: (32, 128), NANO: (32, 128), CRAFT: (48, 64)}


def make(name: str, **options: object):
    from regionloss_text.craft_trunk import CraftFeatures
    from regionloss_text.crnn import CrnnEnglishG2
    from regionloss_text.nano_ocr import NanoOcr

    return {CRNN: CrnnEnglishG2, NANO: NanoOcr, CRAFT: CraftFeatures}[name](**options)


@pytest.fixture(params=[CRNN, NANO, CRAFT], scope="module")
def name(request, weights) -> str:
    weights(FILES[request.param])
    return request.param


@pytest.fixture(scope="module")
def backbone(name):
    return make(name)


def crops(name: str, count: int = 2, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, *SIZES[name], generator=generator, dtype=dtype) * 2 - 1


def test_five_levels_from_fine_to_coarse(name, backbone) -> None:
    levels = backbone(crops(name))
    assert len(levels) == 5
    rows = [level.shape[2] for level in levels]
    assert rows == sorted(rows, reverse=True)


def test_gradients_reach_the_image_and_no_weight(name, backbone) -> None:
    images = crops(name).requires_grad_()
    ours, theirs = backbone(images, crops(name).flip(0))
    sum((a - b).square().mean() for a, b in zip(ours, theirs, strict=True)).backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
    assert (images.grad.abs().amax(dim=(1, 2, 3)) > 0).all()
    assert not any(level.requires_grad for level in theirs)
    assert all(weight.grad is None for weight in backbone.network.parameters())


def test_never_trains_and_is_never_saved(name, backbone) -> None:
    before = backbone(crops(name))
    owner = torch.nn.Sequential(backbone).train()
    assert not backbone.training
    assert not backbone.network.training
    assert not owner.state_dict()
    assert not list(owner.parameters())
    for first, second in zip(before, backbone(crops(name)), strict=True):
        assert torch.equal(first, second)


def test_float64_stays_float64_and_agrees(name, backbone) -> None:
    exact = backbone(crops(name, dtype=torch.float64))
    for level, single in zip(exact, backbone(crops(name, dtype=torch.float64).float()), strict=True):
        assert level.dtype == torch.float64
        torch.testing.assert_close(single.double(), level, rtol=1e-3, atol=1e-4 * float(level.abs().max()))


def test_order_of_crops_does_not_matter(name, backbone) -> None:
    images = crops(name, 3)
    for level, turned in zip(backbone(images), backbone(images.flip(0)), strict=True):
        torch.testing.assert_close(turned.flip(0), level, rtol=1e-4, atol=1e-5 * float(level.abs().max()))


def test_empty_batch(name, backbone) -> None:
    assert all(level.shape[0] == 0 for level in backbone(crops(name, 0)))


def test_out_indices_pick_levels(name, backbone) -> None:
    first, last = make(name, out_indices=[0, -1])(crops(name))
    levels = backbone(crops(name))
    assert torch.equal(first, levels[0])
    assert torch.equal(last, levels[-1])
    with pytest.raises(InputError, match=r"out_indices: expected numbers below \d+"):
        make(name, out_indices=[20])(crops(name))


def test_crops_of_another_size_are_refused(weights) -> None:
    weights("english-g2")
    with pytest.raises(InputError, match="expected 32 x 128 pixels"):
        make(CRNN)(torch.zeros(1, 3, 32, 100))
    with pytest.raises(InputError, match=r"crnn-english-g2.size: expected at least 32 x 16, got 16 x 64\."):
        make(CRNN, size=(16, 64))
    assert make(CRNN, size=(64, 256))(torch.zeros(1, 3, 64, 256))[-1].shape == (1, 256, 3, 63)


@pytest.mark.parametrize(("component", "file"), FILES.items())
def test_missing_weights_say_how_to_get_them(component, file, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=f"weights '{file}' not found in .* Run 'regionloss weights fetch {file}'"):
        make(component)
