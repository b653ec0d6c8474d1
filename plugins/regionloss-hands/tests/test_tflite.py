"""Networks read from TensorFlow Lite files, against LiteRT's own numbers."""

from __future__ import annotations

from typing import Any

import pytest
import skimage.data
import torch
from regionloss_hands.tflite_file import read_graph
from regionloss_hands.tflite_network import HAND_KEYPOINTS, PALM_DETECTOR, TFLiteNetwork, feature_maps, load_graph
from torch import Tensor

from regionloss.errors import WeightsError

KEYPOINT_NETWORKS = ["hand-landmark-full", "hand-landmark-lite"]


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def corner(side: int) -> Tensor:
    """The upper left of the astronaut, every second pixel, (1, 3, side, side) in [0, 1]."""
    pixels = skimage.data.astronaut()[: 2 * side : 2, : 2 * side : 2]
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def close(ours: Tensor, theirs: Any, scale: float) -> None:
    torch.testing.assert_close(ours.flatten(), torch.tensor(theirs).flatten(), atol=2e-5 * scale, rtol=1e-4)


@pytest.mark.weights
def test_the_palm_detector_equals_litert(weights, golden) -> None:
    weights("hand-palm")
    graph, theirs = load_graph("hand-palm", PALM_DETECTOR), golden["hand-palm"]
    values, logits = TFLiteNetwork(graph, graph.outputs)(corner(theirs["side"]))
    assert (values.shape, logits.shape) == ((1, 2016, 18), (1, 2016, 1))
    close(values[0, ::63], theirs["values"], 100)
    close(logits[0, ::63], theirs["logits"], 10)


@pytest.mark.weights
@pytest.mark.parametrize("name", KEYPOINT_NETWORKS)
def test_the_keypoint_networks_equal_litert(name: str, weights, golden) -> None:
    """Keypoints to 1e-3 pixels; each level to 2e-5 of its size."""
    weights(name)
    graph, theirs = load_graph(name, HAND_KEYPOINTS), golden[name]
    maps = feature_maps(graph)
    network = TFLiteNetwork(graph, [*maps, *graph.outputs[:2]])
    *levels, keypoints, score = network(corner(theirs["side"]))
    torch.testing.assert_close(keypoints[0], torch.tensor(theirs["keypoints"]), atol=1e-3, rtol=0)
    assert float(score) == pytest.approx(theirs["score"], rel=1e-3)
    assert len(levels) == len(theirs["levels"]) == 5
    for ours, level in zip(levels, theirs["levels"], strict=True):
        height, width, channels = level["shape"]
        assert ours.shape == (1, channels, height, width)
        scale = level["mean_abs"]
        assert float(ours.abs().mean()) == pytest.approx(scale, rel=1e-4)
        close(ours[0, :8, 0, 0], level["corner"], 10 * scale)
        close(ours[0, :8, height // 2, width // 2], level["centre"], 10 * scale)


@pytest.mark.weights
def test_layers_that_nothing_needs_are_left_out(weights) -> None:
    weights("hand-landmark-lite")
    graph = load_graph("hand-landmark-lite", HAND_KEYPOINTS)
    first = TFLiteNetwork(graph, feature_maps(graph)[:1])
    assert len(first.steps) == 3
    assert len(list(first.parameters())) == 6
    whole = TFLiteNetwork(graph, feature_maps(graph))
    assert torch.equal(first(corner(224))[0], whole(corner(224))[0])


@pytest.mark.weights
def test_a_file_of_its_own_is_read_by_its_path(weights, tmp_path) -> None:
    """The palm detector cut out of the assets, as others ship it."""
    model = tmp_path / "palm_detection_full.tflite"
    model.write_bytes(weights("hand-palm").read_bytes()[slice(*PALM_DETECTOR.part)])
    assert load_graph(str(model), PALM_DETECTOR).outputs == load_graph("hand-palm", PALM_DETECTOR).outputs


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 a zip file", b"\x1c\x00\x00\x00TFL3", b"\xff\xff\xff\x7fTFL3" * 9]
)
def test_other_files_are_a_sentence(content: bytes, tmp_path) -> None:
    file = tmp_path / "other.tflite"
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=r"expected MediaPipe's keypoints of a hand, got another file"):
        load_graph(str(file), HAND_KEYPOINTS)
    with pytest.raises(WeightsError, match=r"nowhere\.tflite not found\. Check the path\."):
        load_graph(str(tmp_path / "nowhere.tflite"), HAND_KEYPOINTS)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ValueError, match="not a TensorFlow Lite model"):
        read_graph(b"0123456789")
