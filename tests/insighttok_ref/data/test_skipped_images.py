"""Images that are skipped are named once, and not for ever."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest
import torch

from insighttok_ref.data.skipped_images import Told
from regionloss.data.batches.batch import Batch


class Skipping:
    def starting_at(self, number: int) -> Iterator[Batch]:
        while True:
            yield Batch(
                torch.zeros(1, 3, 2, 2, dtype=torch.uint8),
                {},
                skipped=(f"image {number} is broken", "image 0 is broken"),
            )
            number += 1


def test_each_image_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    told = Told(Skipping(), most=3)
    assert len(list(islice(told.starting_at(0), 40))) == 40
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == [f"skipped: image {i} is broken" for i in range(3)]
    assert [line.split(" images")[0] for line in lines[3:]] == [f"skipped: {2**k}" for k in range(2, 6)]
