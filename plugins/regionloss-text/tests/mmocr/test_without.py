"""What holds also where MMOCR is not installed, and what the shim does and leaves alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from regionloss_text.mmocr import checkpoints, compat

from regionloss.errors import PluginError, WeightsError
from regionloss.hooks.catalogue import catalogue


@pytest.mark.parametrize(("kind", "name"), [("backbone", "abinet"), ("detector", "dbnet")])
def test_a_sentence_says_how_to_install_mmocr(kind: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mmocr", None)  # as if it were not installed
    with pytest.raises(PluginError) as caught:
        catalogue().build(kind, name)
    sentence = f"{kind} 'text/{name}': expected MMOCR, got no package 'mmocr'. Install it: "
    assert str(caught.value) == f"{sentence}pip install 'regionloss-text[mmocr]'"


def test_versions_that_do_not_fit_are_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "mmocr"
    package.mkdir()
    (package / "__init__.py").write_text("assert False, 'MMCV==2.2.0 is used but incompatible.'")
    for name in [n for n in sys.modules if n == "mmocr" or n.startswith("mmocr.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        PluginError, match=r"cannot be imported \(AssertionError: MMCV==2.2.0 is used but incompatible\)"
    ):
        compat.load_mmocr("tests")


def test_the_plugin_imports_nothing_heavy() -> None:
    code = (
        "import sys, regionloss_text.plugin, regionloss_text.mmocr.compat\n"
        "print([m for m in ('torch', 'numpy', 'cv2', 'mmocr', 'mmengine', 'mmcv', 'mmdet') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_numpy_is_left_as_it_was() -> None:
    import numpy as np

    before = dict(vars(np))
    with compat.imgaug_importable():
        assert np.float32 in vars(np)["sctypes"]["float"]
    assert vars(np) == before


def test_mmocr_leaves_scope_registries_warnings_and_logging_alone() -> None:
    pytest.importorskip("mmocr", reason="MMOCR is not installed")
    code = """
import logging, sys, warnings
warnings.simplefilter("error")
import numpy, torch
torch.set_num_threads(1)
filters, handlers = list(warnings.filters), list(logging.root.handlers)
from regionloss_text.mmocr.configs import build, read_config
from regionloss_text.mmocr.compat import load_mmocr, stand_in_for_mmcv_ops
config = read_config("textdet/dbnet/dbnet_resnet18_fpnc_1200e_icdar2015.py", "test")
build(config.model.backbone)
from mmengine.registry import DefaultScope
assert DefaultScope.get_current_instance() is None
assert [str(f) for f in warnings.filters] == [str(f) for f in filters]
assert logging.root.handlers == handlers
assert not hasattr(numpy, "sctypes") and "imgaug" not in sys.modules
stub = sys.modules["mmcv._ext"]
assert not stand_in_for_mmcv_ops() and sys.modules["mmcv._ext"] is stub
from mmcv.ops import nms
try:
    nms(torch.zeros(1, 4), torch.ones(1), 0.5)
except NotImplementedError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    # Where DeepSpeed is installed, mmengine imports it, and it prints a line of its own before.
    assert done.stdout.splitlines()[-1].startswith("mmcv's operation 'nms' is compiled, and mmcv-lite has none.")


def test_a_file_is_what_its_name_promises(tmp_path: Path) -> None:
    import hashlib

    torch.save({"a": torch.zeros(1)}, tmp_path / "net.pth")
    data = (tmp_path / "net.pth").read_bytes()
    right, wrong = (tmp_path / f"net-{start}.pth" for start in (hashlib.sha256(data).hexdigest()[:8], "01234567"))
    right.write_bytes(data)
    wrong.write_bytes(data)
    assert checkpoints.find_checkpoint(str(right), "") == right
    with pytest.raises(WeightsError, match=r"net-01234567\.pth: expected sha256 01234567\.\.\., got "):
        checkpoints.find_checkpoint(str(wrong), "")


def test_a_converted_file_is_judged_by_what_it_was_made_from(tmp_path: Path) -> None:
    import hashlib

    from regionloss.weights.convert import convert

    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "net.pth")
    data = (tmp_path / "net.pth").read_bytes()
    named = tmp_path / f"net-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    named.write_bytes(data)
    converted = convert(named).path
    assert checkpoints.find_checkpoint(str(converted), "") == converted


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrap", [lambda tensors: {"state_dict": tensors, "meta": {"epoch": 1}}, dict])
def test_parts_are_read_from_wrapped_and_bare_state_dicts(wrap: Any, prefix: str, tmp_path: Path) -> None:
    network = torch.nn.ModuleDict({"a": torch.nn.PReLU(2), "b": torch.nn.Identity()})
    held = {f"{prefix}a.weight": torch.ones(2), f"{prefix}decoder.weight": torch.zeros(2)}
    torch.save(wrap(held), tmp_path / "net.pth")
    checkpoints.load_parts(network, tmp_path / "net.pth")
    assert torch.equal(network["a"].weight, torch.ones(2))


def test_a_missing_path_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"weight file .*none\.pth not found\. Check the path\."):
        checkpoints.find_checkpoint(str(tmp_path / "none.pth"), "")
