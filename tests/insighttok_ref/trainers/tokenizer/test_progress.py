"""What the user sees, against a clock that the test sets."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from insighttok_ref.trainers.tokenizer import progress
from insighttok_ref.trainers.tokenizer.options import Phase
from insighttok_ref.trainers.tokenizer.plan import Part, plan
from insighttok_ref.trainers.tokenizer.progress import RunProgress, minutes


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def parts(*steps: int) -> tuple[Part, ...]:
    return plan([Phase(name=f"phase{i}", steps=count, batch_size=4, lr=1e-3) for i, count in enumerate(steps)], (), 0)


def console(terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120)


def printed(shown: Console) -> str:
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


def test_lines_show_phase_step_loss_speed_and_the_time_left_over_all_phases(clock: Clock) -> None:
    shown, todo = console(), parts(20, 40)
    with RunProgress(todo, shown) as bar:
        bar.left.afterwards = 30.0
        for done in range(1, 21):
            clock.now += 2.0
            bar.step(todo[0], done, 1.0 / done, images=64)
    lines = printed(shown).splitlines()
    assert len(lines) == progress.LINES_A_PART
    # 10 + 40 steps of 2 s, and 30 s of judging; 64 images in 2 s
    assert lines[4] == "phase0 10/20  loss 0.1000  32 images/s  about 2 min 10 s left"
    assert lines[-1] == "phase0 20/20  loss 0.0500  32 images/s  about 1 min 50 s left"


def test_a_loss_that_was_not_read_yet_is_not_shown(clock: Clock) -> None:
    """As after a stop, where the first steps are not logged."""
    shown, todo = console(), parts(20)
    with RunProgress(todo, shown) as bar:
        clock.now += 2.0
        bar.step(todo[0], 2, None, images=64)
    assert printed(shown).splitlines()[0].startswith("phase0 2/20  about")


def test_a_loss_of_an_earlier_step_says_of_which(clock: Clock) -> None:
    """Losses are read every few steps."""
    shown, todo = console(), parts(20)
    with RunProgress(todo, shown) as bar:
        for done in range(1, 5):
            clock.now += 2.0
            bar.step(todo[0], done, 0.5 if done in (1, 4) else None)
    lines = [line.partition("  about")[0] for line in printed(shown).splitlines()]
    assert lines == ["phase0 2/20  loss 0.5000 at 1", "phase0 4/20  loss 0.5000"]


def test_a_long_part_says_something_every_few_minutes(clock: Clock) -> None:
    shown, todo = console(), parts(10_000)
    with RunProgress(todo, shown) as bar:
        for done in range(1, 61):
            clock.now += 60.0
            bar.step(todo[0], done, None)
    assert len(printed(shown).splitlines()) == 12  # an hour, a line each 5 minutes
    assert "images/s" not in printed(shown)


def test_a_terminal_gets_a_bar_with_the_same(clock: Clock) -> None:
    shown, todo = console(terminal=True), parts(4)
    bar = RunProgress(todo, shown)
    for done in (1, 2):
        clock.now += 3.0
        bar.step(todo[0], done, 0.25, images=6)
    task = bar.bar.tasks[0]
    assert task.description == "phase0 2/4  loss 0.2500  2 images/s"
    assert task.fields["left"] == "about 6 s left"
    assert task.completed == pytest.approx(0.5)


def test_another_rank_prints_nothing_and_leaves_the_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    todo = parts(10)
    with RunProgress(todo, quiet=True) as bar:
        bar.say("one")
        for done in range(1, 11):
            bar.step(todo[0], done, 1.0, images=4)
        bar.stage("judging", 3.0)
        print("a print of the user's code")
    assert capsys.readouterr().out == "a print of the user's code\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s"), (12_000, "3 h 20 min")]
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert minutes(seconds) == text
