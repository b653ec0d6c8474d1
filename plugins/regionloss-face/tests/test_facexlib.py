"""RetinaFace and ArcFace against facexlib's own forward, with random weights from a file."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
import torch
from regionloss_face.arcface import ArcFaceIRSE50
from regionloss_face.boxes import suppress
from regionloss_face.retinaface import RetinaFaceDetector

from regionloss.errors import InputError, PluginError, WeightsError
from regionloss.testing.contracts import DetectorContract, FeatureBackboneContract


def settled(network: torch.nn.Module) -> torch.nn.Module:
    """Give random networks running statistics that differ from layer to layer."""
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.8, 1.5)
        elif name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=["mobile0.25", "resnet50"])
def retinaface(request, tmp_path_factory):
    """facexlib's own network, and our detector with its weights, saved with the prefix of its release."""
    pytest.importorskip("facexlib")
    from facexlib.detection.retinaface import RetinaFace

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The parameter 'pretrained'|Arguments other than a weight enum", UserWarning)
        network = settled(RetinaFace(request.param, device="cpu"))
    network.phase = "train"  # makes facexlib leave the scores as they are, nothing else
    offsets, logits, _ = network(torch.rand(1, 3, 90, 123) * 255 - 110)
    network.phase = "test"
    for head, spread in ((network.BboxHead, 0.5 / offsets.std()), (network.ClassHead, 1 / logits.std())):
        # Boxes that stay near their anchors, and so in the image; scores without ties.
        for level in head:
            level.conv1x1.weight.mul_(spread)
            level.conv1x1.bias.mul_(spread)
    file = tmp_path_factory.mktemp("weights") / "detection.pth"
    torch.save({f"module.{name}": value for name, value in network.state_dict().items()}, file)
    return network, RetinaFaceDetector(request.param, weights=str(file), min_score=0.5, max_overlap=1.0)


def test_retinaface_equals_facexlib(retinaface) -> None:
    """Its `detect_faces`, image by image, all boxes kept; keypoints are half a pixel further, as this SDK counts."""
    network, detector = retinaface
    images = torch.rand(2, 3, 90, 123, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = detector.detect(images)
    size = torch.tensor([123.0, 90, 123, 90])
    for number, image in enumerate(images):
        bgr = np.ascontiguousarray(((image.permute(1, 2, 0) + 1) * 127.5).numpy()[:, :, ::-1])
        theirs = torch.from_numpy(network.detect_faces(bgr, conf_threshold=0.5, nms_threshold=1.0))
        ours = found.of_image(number)
        assert len(ours) == len(theirs) > 5
        boxes = theirs[:, :4].clamp(min=0).minimum(size)
        # Scores that differ in their last bit may stand in another order.
        where = (boxes - ours.boxes[:, None]).abs().amax(2) + (theirs[:, 4] - ours.scores[:, None]).abs()
        theirs, boxes = theirs[where.argmin(1)], boxes[where.argmin(1)]
        assert len(set(where.argmin(1).tolist())) == len(ours)
        torch.testing.assert_close(ours.boxes, boxes, atol=1e-3, rtol=0)
        torch.testing.assert_close(ours.scores, theirs[:, 4], atol=1e-5, rtol=0)
        torch.testing.assert_close(ours.keypoints.flatten(1), theirs[:, 5:] + 0.5, atol=1e-2, rtol=1e-4)


def test_suppression_equals_torchvision() -> None:
    """Boxes at random, so that no overlap is just the limit."""
    torchvision = pytest.importorskip("torchvision")
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(300, 2, generator=generator) * 80
    boxes = torch.cat([low, low + 5 + torch.rand(300, 2, generator=generator) * 40], 1)
    scores = torch.rand(300, generator=generator)
    for limit in (0.1, 0.4, 0.7):
        assert torch.equal(suppress(boxes, scores, limit), torchvision.ops.nms(boxes, scores, limit))


class TestRetinaFaceContract(DetectorContract):
    @pytest.fixture(autouse=True)
    def given(self, retinaface) -> None:
        self.detector = retinaface[1]

    def make(self):
        return self.detector

    def test_nothing_in_flat_images(self) -> None:
        """Random weights see faces anywhere: the same ones in the same images."""
        found = self.detector.detect(torch.zeros(2, 3, 64, 96))
        torch.testing.assert_close(found.of_image(0).boxes, found.of_image(1).boxes, atol=1e-3, rtol=0)


@pytest.fixture(scope="module")
def arcface(tmp_path_factory):
    pytest.importorskip("facexlib")
    from facexlib.recognition.arcface_arch import Backbone

    torch.manual_seed(0)
    network = settled(Backbone(50, 0.6, "ir_se"))
    file = tmp_path_factory.mktemp("weights") / "recognition.pth"
    torch.save(network.state_dict(), file)
    return network, ArcFaceIRSE50(weights=str(file)), ArcFaceIRSE50(weights=str(file), channels="RGB")


class TestArcFaceContract(FeatureBackboneContract):
    @pytest.fixture(autouse=True)
    def given(self, arcface) -> None:
        self.backbone = arcface[1]

    def make(self):
        return self.backbone


def facexlib_levels(network, crops: torch.Tensor, bgr2rgb: bool) -> list[torch.Tensor]:
    """Return what facexlib's network makes of crops that were read by OpenCV, with facexlib's own conversion."""
    from facexlib.utils.misc import img2tensor

    read = [np.ascontiguousarray(crop.add(1).div(2).permute(1, 2, 0).numpy()[:, :, ::-1]) for crop in crops]
    pixels = (torch.stack(img2tensor(read, bgr2rgb=bgr2rgb)) - 0.5) / 0.5
    seen: list[torch.Tensor] = []
    parts = ("input_layer", "body.2", "body.6", "body.20", "body.23")
    handles = [network.get_submodule(p).register_forward_hook(lambda m, i, out: seen.append(out)) for p in parts]
    network(pixels)
    for handle in handles:
        handle.remove()
    return seen


def test_arcface_sees_the_order_of_colours_that_its_option_names(arcface) -> None:
    """Red, green and blue pictures: BGR by default, as facexlib's users feed it; RGB where that is asked for."""
    network, default, other = arcface
    colours = torch.eye(3)[:, :, None, None].expand(3, 3, 112, 112) * 2 - 1
    for backbone, bgr2rgb in ((default, False), (other, True)):
        right, wrong = (facexlib_levels(network, colours, order)[0] for order in (bgr2rgb, not bgr2rgb))
        torch.testing.assert_close(backbone(colours)[0], right)
        assert (backbone(colours)[0][0] - wrong[0]).abs().max() > 0.1
    with pytest.raises(InputError, match=r"^arcface-ir-se50\.channels: expected 'BGR' or 'RGB', got 'L'\."):
        ArcFaceIRSE50(channels="L")


def test_arcface_equals_facexlib(arcface) -> None:
    """Levels as hooks on facexlib's own forward see them, of pixels as its own users make them from OpenCV's."""
    network, backbone, _ = arcface
    crops = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(1)) * 2 - 1
    seen = facexlib_levels(network, crops, bgr2rgb=False)
    ours = backbone(crops)
    assert [tuple(level.shape[1:]) for level in ours] == [
        (64, 112, 112), (64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7),
    ]  # fmt: skip
    for level, theirs in zip(ours, seen, strict=True):
        torch.testing.assert_close(level, theirs)


def test_facexlib_absent_is_a_sentence(monkeypatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "facexlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "facexlib", None)
    for make in (RetinaFaceDetector, ArcFaceIRSE50):
        with pytest.raises(
            PluginError, match=r"facexlib: expected the package, got none .*regionloss-face\[facexlib\]"
        ):
            make()


def test_errors_are_sentences(monkeypatch, tmp_path) -> None:
    pytest.importorskip("facexlib")
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path))
    with pytest.raises(
        WeightsError, match=r"'arcface-ir-se50' not found .* Run 'regionloss weights fetch arcface-ir-se50'"
    ):
        ArcFaceIRSE50()
    with pytest.raises(WeightsError, match=r"'retinaface-mobile025' not found"):
        RetinaFaceDetector("mobile0.25")
    with pytest.raises(InputError, match=r"retinaface\.network: expected 'resnet50' or 'mobile0\.25', got 'vgg'\."):
        RetinaFaceDetector("vgg")
