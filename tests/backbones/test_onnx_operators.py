"""Operators of ONNX files, each beside onnxruntime, and what is not read of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from regionloss.backbones.onnx import OnnxBackbone, read_onnx
from regionloss.errors import WeightsError


def saved(file: Path, nodes: list, weights: dict[str, np.ndarray], opset: int, shape=(1, 4, 6, 5)) -> Path:
    """Write a network from `x` to `y`."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), file)
    return file


FLOATS = np.linspace(-1, 1, 4 * 4 * 9, dtype=np.float32).reshape(4, 4, 3, 3)
ONES = np.linspace(0.5, 2, 4, dtype=np.float32)
LARGER, PLACES = {"": None, "s": np.float32([1, 1, 2, 3])}, "coordinate_transformation_mode"
#: Operator, its weights and attributes, the version of operators.
CASES: list[tuple[str, dict[str, np.ndarray], dict[str, object], int]] = [
    ("Conv", {"w": FLOATS, "b": ONES}, {"auto_pad": "SAME_UPPER", "strides": [2, 1]}, 11),
    ("Conv", {"w": FLOATS}, {"auto_pad": "SAME_LOWER", "kernel_shape": [3, 3], "strides": [2, 2]}, 11),
    ("Conv", {"w": FLOATS}, {"pads": [0, 1, 2, 0], "dilations": [2, 1]}, 11),
    ("Conv", {"w": FLOATS[:, :2]}, {"group": 2, "pads": [1, 1, 1, 1]}, 11),
    ("ConvTranspose", {"w": FLOATS}, {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}, 11),
    ("MaxPool", {}, {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}, 12),
    ("MaxPool", {}, {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, 12),
    ("AveragePool", {}, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, 11),
    ("AveragePool", {}, {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}, 11),
    ("GlobalMaxPool", {}, {}, 11),
    ("Softmax", {}, {"axis": 1}, 11),
    ("Softmax", {}, {"axis": 1}, 13),
    ("LogSoftmax", {}, {}, 13),
    ("Gelu", {}, {"approximate": "tanh"}, 20),
    ("Gelu", {}, {}, 20),
    ("HardSigmoid", {}, {}, 11),
    ("HardSwish", {}, {}, 14),
    ("PRelu", {"s": ONES[:, None, None]}, {}, 11),
    ("LeakyRelu", {}, {"alpha": 0.2}, 11),
    ("Elu", {}, {"alpha": 0.7}, 11),
    ("Clip", {"low": np.float32(-0.2)}, {}, 11),
    ("Clip", {}, {"min": -0.1, "max": 0.3}, 6),
    ("BatchNormalization", {"s": ONES, "b": -ONES, "m": ONES / 2, "v": ONES}, {"epsilon": 0.1}, 15),
    ("InstanceNormalization", {"s": ONES, "b": -ONES}, {}, 11),
    ("LayerNormalization", {"s": np.float32([1, 2, 3, 4, 5]), "b": np.float32([0, 0, 1, 0, 0])}, {"axis": -1}, 17),
    ("ReduceMean", {}, {"axes": [2, 3], "keepdims": 0}, 11),
    ("ReduceMean", {"axes": np.array([-1])}, {}, 18),
    ("ReduceL2", {}, {"axes": [1]}, 11),
    ("ReduceMax", {}, {"axes": [1], "keepdims": 0}, 11),
    ("Transpose", {}, {}, 11),
    ("Reshape", {"to": np.array([0, 2, -1])}, {}, 11),
    ("Flatten", {}, {"axis": 2}, 11),
    ("Flatten", {}, {"axis": -1}, 11),
    ("Squeeze", {}, {"axes": [0]}, 11),
    ("Unsqueeze", {"axes": np.array([0, -1])}, {}, 13),
    ("Slice", {}, {"starts": [1, -3], "ends": [100, -1], "axes": [1, 2]}, 9),
    (
        "Slice",
        {"from": np.array([5, 0]), "to": np.array([-100, 9]), "axes": np.array([2, 3]), "by": np.array([-2, 2])},
        {},
        13,
    ),
    ("Gather", {"i": np.array([[2, -1], [0, 0]])}, {"axis": 1}, 11),
    ("Pad", {"pads": np.array([0, 0, 1, 2, 0, 0, 0, 1]), "v": np.float32(0.5)}, {}, 11),
    ("Pad", {"pads": np.array([0, 0, 1, 2, 0, 0, 0, 1])}, {"mode": "reflect"}, 11),
    ("Pad", {"pads": np.array([0, 0, 1, 2, 0, 0, 0, 1])}, {"mode": "edge"}, 11),
    ("Expand", {"to": np.array([3, 1, 1, 1])}, {}, 11),
    ("Tile", {"by": np.array([1, 2, 1, 3])}, {}, 11),
    ("DepthToSpace", {}, {"blocksize": 2}, 11),
    ("DepthToSpace", {}, {"blocksize": 2, "mode": "CRD"}, 11),
    ("Resize", LARGER, {PLACES: "asymmetric", "mode": "nearest", "nearest_mode": "floor"}, 13),
    ("Resize", LARGER, {"mode": "linear"}, 13),
    ("Resize", LARGER, {"mode": "linear", PLACES: "align_corners"}, 13),
    ("Pow", {"e": np.float32(2)}, {}, 13),
    ("Max", {"a": ONES[:, None, None], "b": -ONES[:, None, None]}, {}, 13),
    ("LpNormalization", {}, {"axis": 1, "p": 2}, 11),
    ("Einsum", {"w": FLOATS[0]}, {"equation": "bchw,ckl->bkhw"}, 12),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)])
def test_an_operator_equals_onnxruntime(number: int, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    operator, weights, attributes, opset = CASES[number]
    node = helper.make_node(operator, ["x", *weights], ["y"], "named", **attributes)
    held = {name: value for name, value in weights.items() if name}
    file = saved(tmp_path / "one.onnx", [node], held, opset)
    images = np.random.default_rng(0).normal(size=(1, 4, 6, 5)).astype(np.float32)
    (wanted,) = onnxruntime.InferenceSession(file).run(None, {"x": images})
    (found,) = read_onnx(file)(torch.from_numpy(images))
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-5)


def test_shapes_are_computed_as_exporters_write_them(tmp_path: Path) -> None:
    """Flattening by Shape, Slice, Concat and Reshape; parts by Split; a mask of the size that it finds."""
    onnxruntime = pytest.importorskip("onnxruntime")
    node = helper.make_node
    nodes = [
        node("Shape", ["x"], ["sides"]),
        node("Constant", [], ["none"], value_ints=[0]),
        node("Constant", [], ["two"], value_ints=[2]),
        node("Constant", [], ["rest"], value=numpy_helper.from_array(np.array([-1]))),
        node("Slice", ["sides", "none", "two"], ["kept"]),
        node("Concat", ["kept", "rest"], ["flat"], axis=0),
        node("Reshape", ["x", "flat"], ["lines"]),
        node("Split", ["lines"], ["left", "right"], axis=1, num_outputs=2),
        node("ConstantOfShape", ["kept"], ["ones"], value=numpy_helper.from_array(np.float32([1]))),
        node("ReduceSum", ["right", "two"], ["sums"], keepdims=1),
        node("Cast", ["sums"], ["same"], to=TensorProto.FLOAT16),
        node("Cast", ["same"], ["again"], to=TensorProto.FLOAT),
        node("Greater", ["left", "again"], ["larger"]),
        node("Where", ["larger", "left", "right"], ["chosen"]),
        node("Gather", ["ones", "two"], ["unused"], axis=1),
        node("Identity", ["chosen"], ["y"]),
    ]
    file = saved(tmp_path / "shapes.onnx", nodes, {}, 18)
    images = np.random.default_rng(0).normal(size=(1, 4, 6, 5)).astype(np.float32)
    (wanted,) = onnxruntime.InferenceSession(file).run(None, {"x": images})
    (found,) = read_onnx(file)(torch.from_numpy(images))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-5)


def test_what_is_not_read_is_said_unless_it_is_behind_the_taps(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "first"),
        helper.make_node("Celu", ["a"], ["y"], "second"),
    ]
    file = saved(tmp_path / "strange.onnx", nodes, {}, 13)
    told = r"expected operators that are read here, got Celu \(1\)\. Choose taps in front of them"
    with pytest.raises(WeightsError, match=told):
        OnnxBackbone(str(file))
    (level,) = read_onnx(file, ["first"])(-torch.ones(1, 4, 6, 5))
    assert float(level.abs().max()) == 0


def test_weights_in_other_files_are_said(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    file = saved(tmp_path / "one.onnx", [node], {"w": FLOATS}, 13)
    onnx.save(onnx.load(file), tmp_path / "two.onnx", save_as_external_data=True, size_threshold=0)
    told = "expected weights in the file itself, got them in files beside it. Save it as one"
    with pytest.raises(WeightsError, match=told):
        OnnxBackbone(str(tmp_path / "two.onnx"))
