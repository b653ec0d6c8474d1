"""Loggers: what TensorBoard and Weights & Biases read back; what happens when one cannot begin, or fails later."""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from insighttok_ref.training.loggers import Loggers, LogOptions, build_loggers
from regionloss.errors import InputError, PluginError

PICTURE = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))


class Recording:
    """A user's logger; fails from a step on."""

    def __init__(self, folder: Path, first_step: int, config: Mapping[str, Any], fails_from: int = 99) -> None:
        if fails_from < 0:
            raise ConnectionError("no server at port 1.")
        self.seen: list[int] = []
        self.fails_from = fails_from

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        if step >= self.fails_from:
            raise ConnectionError("the line is dead")
        self.seen.append(step)

    def image(self, step: int, name: str, picture: Image.Image) -> None:
        self.seen.append(step)

    def close(self) -> None:
        self.seen.append(-1)


class Mute(Recording):
    """A logger that cannot take pictures."""

    image = None  # type: ignore[assignment]


def options(*loggers: Any) -> LogOptions:
    return LogOptions(loggers=loggers)


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "images": 0}).Reload()


def wandb_entries(file: Path) -> Iterator[bytes]:
    """Yield the entries of a file of W&B: 7 bytes, then LevelDB's log format (32 KiB blocks; crc, length, type)."""
    data, at, entry = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        entry += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield entry
            entry = b""


def test_tensorboard_reads_back_what_was_written(tmp_path: Path) -> None:
    loggers = build_loggers(LogOptions(), tmp_path, 0, {"recipe": {"seed": 7}})
    for step in range(3):
        loggers.scalars(step, {"loss/total": step / 4, "lr": 1e-4})
    loggers.image(2, "one", lambda: PICTURE)
    live = read(tmp_path)  # before anything is closed: who looks sees the run as it is
    assert [(e.step, e.value) for e in live.Scalars("loss/total")] == [(0, 0.0), (1, 0.25), (2, 0.5)]
    loggers.close()
    found = read(tmp_path)
    assert found.Tags()["scalars"] == ["loss/total", "lr"]
    image = found.Images("images/one")[0]
    assert image.step == 2
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(image.encoded_image_string))), np.asarray(PICTURE))


def test_steps_that_are_done_again_replace_those_before_the_stop(tmp_path: Path) -> None:
    first = build_loggers(LogOptions(), tmp_path, 0, {})
    for step in range(6):
        first.scalars(step, {"loss/total": 1.0})
    first.close()
    again = build_loggers(LogOptions(), tmp_path, 4, {})
    for step in range(4, 8):
        again.scalars(step, {"loss/total": 2.0})
    again.close()
    events = [(e.step, e.value) for e in read(tmp_path).Scalars("loss/total")]
    assert events == [(step, 1.0 if step < 4 else 2.0) for step in range(8)]


def test_wandb_writes_offline_and_a_resumed_run_keeps_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for first_step in (0, 1):
        use = {"use": "wandb", "options": {"project": "tokens", "settings": {"console": "off"}}}
        loggers = build_loggers(options(use), tmp_path, first_step, {"recipe": {"seed": 7}})
        loggers.scalars(first_step, {"loss/total": 0.125 + first_step})
        loggers.image(first_step, "one", lambda: PICTURE)
        loggers.close()
        time.sleep(1.0)  # offline runs have the second in their folder's name
    number = (tmp_path / "wandb-run.txt").read_text(encoding="utf-8").strip()
    files = sorted(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert files
    assert {file.name for file in files} == {f"run-{number}.wandb"}
    history = {}
    for file in files:
        for entry in wandb_entries(file):
            record = Record.FromString(entry)
            for item in record.history.item:
                history[item.key or "/".join(item.nested_key), record.history.step.num] = item.value_json
    assert history["loss/total", 1] == "1.125"
    assert list(tmp_path.glob("wandb/offline-run-*/files/media/images/**/*.png"))


def test_a_logger_of_the_users_own_is_named_by_its_class(tmp_path: Path) -> None:
    loggers = build_loggers(options({"use": f"{__name__}:Recording"}), tmp_path, 0, {})
    loggers.scalars(3, {"lr": 0.1})
    loggers.image(4, "one", lambda: PICTURE)
    loggers.close()
    assert [logger.seen for logger in loggers.loggers.values()] == [[3, 4, -1]]  # type: ignore[attr-defined]


def test_one_that_fails_later_is_reported_once_and_the_others_go_on() -> None:
    good, bad = Recording(Path(), 0, {}), Recording(Path(), 0, {}, fails_from=1)
    loggers = Loggers({"bad": bad, "good": good})
    loggers.scalars(0, {})
    with pytest.warns(UserWarning, match="'bad'.*the line is dead"):
        loggers.scalars(1, {})
    loggers.scalars(2, {})  # a second warning would be an error
    loggers.scalars(3, {})
    assert (bad.seen, good.seen) == ([0], [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("tensorbord", "Did you mean 'tensorboard'?"),
        ("no colon", "package.module:Class"),
        (("wandb", "wandb"), "each logger once"),
        ({"use": "wandb", "option": {}}, "option"),
    ],
)
def test_what_no_logger_can_be_is_said_by_the_options(given: Any, sentence: str) -> None:
    with pytest.raises(ValidationError) as error:
        options(*(given if isinstance(given, tuple) else (given,)))
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("use", "kind", "sentence"),
    [
        ({"use": "tensorboard", "options": {"flush": 1}}, InputError, "'flush'"),
        ({"use": "nowhere.at_all:Logger"}, PluginError, "nowhere"),
        ({"use": "pathlib:Pth"}, InputError, "a class Pth in pathlib"),
        ({"use": f"{__name__}:Recording", "options": {"fails_from": -1}}, InputError, "no server at port 1. Mend"),
        ({"use": f"{__name__}:Mute"}, InputError, "without image"),
    ],
)
def test_one_that_cannot_begin_is_a_sentence(
    tmp_path: Path, use: dict[str, Any], kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind) as error:
        build_loggers(options(use), tmp_path, 0, {})
    assert sentence in str(error.value)
    assert f"log.loggers ('{use['use']}'): expected" in str(error.value)


def test_a_picture_that_cannot_be_drawn_costs_neither_training_nor_logger() -> None:
    recording = Recording(Path(), 0, {})
    loggers = Loggers({"mine": recording})
    with pytest.warns(UserWarning, match="step 3: no picture of 'phase': ZeroDivisionError: "):
        loggers.image(3, "phase", lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    loggers.image(4, "phase", lambda: PICTURE)
    assert recording.seen == [4]
