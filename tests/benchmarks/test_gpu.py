"""The benchmark of all that needs a GPU, in small on a CPU: so that it works at once where there is one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import regionloss as rl
from benchmarks.gpu import step, terms
from benchmarks.gpu.__main__ import PARTS, measure_all, parse
from benchmarks.gpu.convolutions import shapes
from benchmarks.gpu.marked_tests import marked_files
from benchmarks.gpu.processes import ROOT, read, run_part
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.summary import cell, goals
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from tests.helpers import face_loss, text_loss

pytestmark = pytest.mark.filterwarnings(
    "ignore:quantizer. .* tokens per code and update",
    "ignore:The .grad attribute of a Tensor that is not a leaf",  # of torch's tracer
    "ignore::DeprecationWarning",
)
Rows = dict[str, dict[str, object]]


def measured(part: str) -> Rows:
    rows: Rows = {}
    PARTS[part].measure(Setting("cpu", lambda row: rows.update({str(row["name"]): row}), 600.0, "aot_eager"))
    assert not [row for row in rows.values() if "error" in row]
    return rows


def child(tmp_path: Path, code: str, seconds: float = 60.0) -> dict[str, object]:
    rows = tmp_path / "rows.jsonl"
    begin = f"import os, time\nrows = open({str(rows)!r}, 'a')\nrows.write('{{\"name\": \"kept\"}}\\n')\nrows.flush()\n"
    return run_part([sys.executable, "-c", begin + code], rows, seconds)


def test_a_part_that_dies_leaves_its_rows_and_its_last_words(tmp_path: Path) -> None:
    found = child(
        tmp_path, "rows.write('{\"na'); rows.flush(); print('out of memory', flush=True); os.kill(os.getpid(), 9)"
    )
    assert found["ended"] == "ended with -9: out of memory"
    assert found["rows"] == [{"name": "kept"}]


def test_a_part_is_stopped_in_time_with_all_that_it_began(tmp_path: Path) -> None:
    code = f"""
pid = os.fork()
if pid:
    with open({str(tmp_path / "pid")!r}, "w") as file:
        file.write(str(pid))
time.sleep(600)
"""
    found = child(tmp_path, code, 3.0)
    assert found["ended"] == "stopped after 3 s"
    assert found["rows"] == [{"name": "kept"}]
    begun = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    assert not begun.exists() or begun.read_text().split()[2] == "Z"


def test_a_later_row_stands_for_an_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "rows").write_text('{"name": "a", "ms": 1}\n{"name": "b"}\n{"name": "a", "ms": 2}\n')
    assert read(tmp_path / "rows") == [{"name": "a", "ms": 2}, {"name": "b"}]
    assert read(tmp_path / "none") == []


def test_parts_share_the_time_that_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the file is whole after each; what an earlier part leaves, later ones have."""
    given: list[float] = []

    def run(command: list[str], rows: Path, seconds: float) -> dict[str, object]:
        given.append(seconds)
        return {"ended": "done", "seconds": 0.0, "rows": []}

    monkeypatch.setattr("benchmarks.gpu.__main__.run_part", run)
    monkeypatch.setattr(sys, "argv", ["gpu", "--device", "cpu", "--out", str(tmp_path / "gpu.json"), "--minutes", "8"])
    measure_all(parse(), tmp_path)
    assert list(json.loads((tmp_path / "gpu.json").read_text())["parts"]) == list(PARTS)
    assert sum(part.seconds for part in PARTS.values()) == 480
    assert given[0] == pytest.approx(PARTS["step"].seconds, abs=1)
    assert given[-1] == pytest.approx(480, abs=5)


def test_the_command_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "gpu.json"
    argv = ["gpu", "--device", "cpu", "--out", str(out), "--minutes", "5", "--parts", "convolutions"]
    monkeypatch.setattr(sys, "argv", argv)
    measure_all(parse(), tmp_path)
    found = json.loads(out.read_text())["parts"]["convolutions"]
    assert found["ended"] == "done"
    assert {row["name"] for row in found["rows"]} >= {"device", "convolutions", "convolutions, channels-last"}
    assert "convolutions, channels-last" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", "--device", "cuda"])
    with pytest.raises(SystemExit):
        parse()
    assert "--device: expected a GPU that torch sees, got none" in capsys.readouterr().err


def test_the_shapes_are_all_of_the_model() -> None:
    """Its operations, counted by torch, are those of its convolutions and of what little is not one."""
    setting = Setting("cpu", print)
    with torch.device("meta"):
        model = InsightTokenizer.from_preset("miniature").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 48, 48, device="meta"))
    convolutions = counter.get_flop_counts()["Global"][torch.ops.aten.convolution]
    assert sum(shape.tflop * count for shape, count in shapes(setting).items()) == pytest.approx(
        3 * convolutions / 1e12
    )
    assert setting.step_tflop(2) == pytest.approx(2 * 3 * counter.get_total_flops() / 1e12)


@pytest.mark.parametrize("variant", [step.EAGER[1], step.COMPILED_VARIANTS[1]], ids=lambda variant: variant.name)
def test_a_step_runs(variant: step.Variant) -> None:
    row = step.measured(Setting("cpu", print, 600.0, "aot_eager"), variant._replace(halved=True))
    assert row["images_s"] == pytest.approx(1e3 / row["ms"])


def test_a_variant_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(setting: Setting, variant: step.Variant) -> dict[str, object]:
        if variant is step.EAGER[0]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return {"name": variant.name}

    monkeypatch.setattr(step, "measured", measured)
    rows: list[dict[str, object]] = []
    step.eager(Setting("cpu", rows.append))
    assert rows[0]["error"] == "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB."
    assert [row["name"] for row in rows] == [variant.name for variant in step.EAGER]


def test_table12_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """With small networks: the paper's take minutes on a CPU."""
    small = {"text": rl.Term(text_loss(), "text"), "face": rl.Term(face_loss(), "face")}
    monkeypatch.setattr(terms, "random_terms", lambda: (rl.LossTerms(small), "small"))
    rows = measured("table12")
    assert {"vanilla", "with terms", "the terms cost"} <= rows.keys()
    assert rows["with terms"]["face model"] > 0


def test_without_mmocr_the_network_of_faces_reads_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "regionloss_text.mmocr.abinet", None)
    made, networks = terms.random_terms()
    assert networks == "iresnet50 for both"
    levels = made["text"].loss.backbone(torch.zeros(1, 3, 32, 128))
    assert [level.shape[2:] for level in levels][-1] == (2, 8)


def test_decoders_run() -> None:
    names = {"plain", "transformers", "coupled", "plain, compiled", "coupled, compiled"}
    assert names <= measured("decoding").keys()


def test_terms_run_beside_the_loop(weights: Callable[[str], Path]) -> None:
    for row in measured("terms").values():
        assert row["loop_differs"] < 0.05
        assert row["in_one_call_differs"] < 1e-4
        assert row["in_bf16_differs"] < 0.1


def test_the_marked_tests_are_found() -> None:
    names = {file.relative_to(ROOT).as_posix() for file in marked_files()}
    assert "tests/test_gpu.py" in names
    assert len(names) < 12


def test_goals_are_read_from_the_rows() -> None:
    parts = {
        "step": {"rows": [{"name": "eager", "tflops": 200.0}, {"name": "lost", "error": "out of memory"}]},
        "compiled": {"rows": [{"name": "compiled", "tflops": 300.0}]},
        "convolutions": {
            "rows": [{"name": "matrix product", "tflops": 700.0}, {"name": "convolutions", "tflops": 500.0}]
        },
        "tests": {"rows": [{"name": "a", "outcome": "failed"}, {"name": "b", "outcome": "passed"}]},
    }
    found = {row["name"]: row["found"] for row in goals(parts)}
    assert found["the fastest step, of what its convolutions alone reach"] == pytest.approx(60)
    assert found["marked tests that failed"] == 1
    assert found["plain decoder / transformers"] is None
    assert all(row["found"] is None for row in goals({}))


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "-"), (float("nan"), "-"), (1234.56, "1234.6"), (0.01234, "0.0123"), (["a", 1], "a, 1")]
)
def test_cells(value: object, shown: str) -> None:
    assert cell(value) == shown
