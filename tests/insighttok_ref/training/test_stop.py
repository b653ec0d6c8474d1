"""FiniteWatch: what was not finite first, and that nothing is read from a device before it is asked."""

from __future__ import annotations

import pytest
import torch

from insighttok_ref.training.stop import FiniteWatch, TrainingError

GOOD, NAN, INF = torch.tensor(1.0), torch.tensor(float("nan")), torch.tensor(float("inf"))
ELSEWHERE = torch.device("cuda")  # the watch reads no more often than on an accelerator; the values are on the CPU


def advice() -> str:
    return "checkpoint-40 is good."


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_cpu_says_it_at_once(bad: torch.Tensor) -> None:
    watch = FiniteWatch(torch.device("cpu"), advice)
    watch.note({"mse": GOOD, "total": GOOD}, 6)
    with pytest.raises(
        TrainingError, match=r"step 7: expected a finite 'text', got NaN or Inf\. checkpoint-40 is good\."
    ):
        watch.note({"total": bad, "mse": GOOD, "text": bad}, 7)


def test_an_accelerator_is_read_when_asked_and_the_earliest_is_named() -> None:
    watch = FiniteWatch(ELSEWHERE, advice)
    steps = [(GOOD, GOOD), (GOOD, NAN), (NAN, NAN), (INF, GOOD), (GOOD, GOOD)]
    for step, (text, face) in enumerate(steps):
        watch.note({"text": text, "face": face, "total": text + face}, step)
    with pytest.raises(TrainingError, match="step 1: expected a finite 'face'"):
        watch.check()


def test_values_that_come_and_go_and_finite_ones_pass() -> None:
    watch = FiniteWatch(ELSEWHERE, advice)
    watch.check()
    for step in range(4):
        watch.note({"mse": GOOD} if step % 2 else {"mse": GOOD, "adversarial": GOOD.bfloat16()}, step)
    watch.check()


def test_a_note_reads_no_value() -> None:
    watch = FiniteWatch(torch.device("meta"), advice)
    value = torch.ones((), device="meta", requires_grad=True)
    with pytest.raises((RuntimeError, NotImplementedError)):
        value.item()  # what has no values cannot be read
    for step in range(3):
        watch.note({"mse": value}, step)


def test_many_values_cost_no_more_than_one() -> None:
    def launched(count: int) -> int:
        watch = FiniteWatch(ELSEWHERE, advice)
        watch.note({f"term {n}": GOOD for n in range(count)}, 0)
        with torch.profiler.profile() as seen:
            watch.note({f"term {n}": GOOD for n in range(count)}, 1)
        return sum(event.cpu_parent is None for event in seen.events())

    assert launched(1) == launched(12) > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_note_does_not_wait_for_a_gpu() -> None:
    watch = FiniteWatch(ELSEWHERE, advice)
    values = {"mse": GOOD.cuda(), "text": NAN.cuda()}
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(3):
            watch.note(values, step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    with pytest.raises(TrainingError, match="step 0: expected a finite 'text'"):
        watch.check()
