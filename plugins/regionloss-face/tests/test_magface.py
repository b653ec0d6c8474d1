"""MagFace's score: the length of features of aligned faces, BGR in [0, 1]."""

from __future__ import annotations

import pytest
import torch
from regionloss_face.alignment import ARCFACE_TEMPLATE
from regionloss_face.iresnet import IResNet
from regionloss_face.magface import LAYERS, MagFace

from regionloss import Regions
from regionloss.errors import InputError, WeightsError


@pytest.fixture(scope="module")
def random_file(tmp_path_factory):
    torch.manual_seed(0)
    network = IResNet().eval()
    file = tmp_path_factory.mktemp("weights") / "magface.pth"
    # As MagFace's training writes it.
    torch.save({"state_dict": {f"features.module.{k}": v for k, v in network.state_dict().items()}}, file)
    return file, network


def test_the_score_is_the_length_of_the_features(random_file) -> None:
    file, network = random_file
    judge = MagFace(str(file), 50)
    image = torch.rand(1, 3, 112, 112, generator=torch.Generator().manual_seed(1)) * 2 - 1
    points = torch.tensor(ARCFACE_TEMPLATE)[None]  # aligned as it is
    regions = Regions.single("face", torch.tensor([[20.0, 20, 90, 100]]), (112, 112), keypoints=points)
    with torch.no_grad():
        wanted = network.embed((image.flip(1) + 1) / 2).norm(dim=1)
    torch.testing.assert_close(judge.score(image, regions), wanted, rtol=1e-3, atol=1e-4)
    assert judge.score(image, Regions.empty("face", (112, 112), 1, keypoints=5)).shape == (0,)


def test_iresnet100_has_the_size_of_the_published_one() -> None:
    with torch.device("meta"):
        network = IResNet(LAYERS[100])
    assert sum(p.numel() for p in network.parameters()) == 65_156_160


def test_what_is_missing_is_a_sentence() -> None:
    with pytest.raises(InputError, match=r"magface\.layers: expected 50 or 100, got 34"):
        MagFace(layers=34)
    with pytest.raises(WeightsError, match="weights 'magface-iresnet100' not found"):
        MagFace()
