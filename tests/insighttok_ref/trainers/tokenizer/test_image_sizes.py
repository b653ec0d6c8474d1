"""A phase with images of a size of its own: what follows it, and what is refused before anything is read."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from typer.testing import CliRunner

from insighttok_ref.data import build as building
from insighttok_ref.data.build import TrainingData, build_training_data
from insighttok_ref.data.options import DataOptions
from insighttok_ref.data.render_shards import Rendering, render_shards
from insighttok_ref.trainers.tokenizer.needs import ghosts_of, needs, terms_of
from insighttok_ref.trainers.tokenizer.options import Phase
from insighttok_ref.trainers.tokenizer.plan import plan
from insighttok_ref.trainers.tokenizer.progress import TERMS_COST, TimeLeft
from insighttok_ref.trainers.tokenizer.session import Session
from regionloss.cli.main import app
from regionloss.data.words import TextStyle
from regionloss.errors import InputError
from regionloss.recipe import build_trainer, load_recipe
from tests.insighttok_ref.trainers.tokenizer.phases import (
    OPTIONS,
    TINY,
    assert_same,
    crash,
    prepare,
    stopped_and_resumed,
    train,
)

LARGER = OPTIONS + "phases.1.image_size=48"
LARGEST = OPTIONS + "phases.2.image_size=64"
TESTED = OPTIONS + "data.sources.words.test=2"


def test_a_run_goes_through_sizes_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    """What the model and the discriminator are shown is counted; the run is stopped in the phase of another size."""
    seen: list[tuple[str, int]] = []

    def watch(session: Session) -> None:
        begin = session._begin

        def begun(part):
            state = begin(part)
            for name, module in (("model", state.model), ("discriminator", state.adversary.discriminator)):
                module.register_forward_hook(lambda m, given, out, name=name: seen.append((name, given[0].shape[-1])))
            return state

        session._begin = begun

    train(prepare(tmp_path / "whole", LARGER, LARGEST), watch)
    assert list(dict.fromkeys(seen)) == [
        *(("model", 32), ("discriminator", 32), ("model", 48), ("discriminator", 48)),
        *(("model", 64), ("discriminator", 64)),
    ]
    stopped_and_resumed(tmp_path / "broken", 9, crash, LARGER, LARGEST)
    assert_same(tmp_path / "whole", tmp_path / "broken")
    with pytest.raises(InputError, match=r"differs in trainer\.options\.phases"):
        train(prepare(tmp_path / "broken", LARGER, resume=True))


def test_all_tokenizers_are_judged_on_images_of_the_last_phase_s_size(tmp_path: Path) -> None:
    sizes: list[int] = []
    train(
        prepare(tmp_path, TESTED, LARGEST, *(OPTIONS + f"phases.{n}.steps=1" for n in range(3))),
        lambda s: sizes.append(s.data.test["words"].pixels.shape[-1]),
    )
    assert sizes == [64]


def filtered(folder: Path, image_size: int) -> tuple[int, int]:
    """Return how many words of 4 images are kept, and how many are too small, at a size of the images."""
    source = {"images": str(folder / "*.tar"), "regions": str(folder)}
    options = DataOptions(
        image_size=48, workers=0, sources={"words": source}, augment={"crop": "pad"}, filters={"text": {"min_side": 8}}
    )
    made: TrainingData = build_training_data(options)
    (batch,) = islice(made.batches(None, seed=0, batch_size=4, image_size=image_size).starting_at(0), 1)
    assert batch.pixels.shape[2:] == (image_size, image_size)
    assert batch.regions["text"].image_size == (image_size, image_size)
    return len(batch.regions["text"]), batch.dropped["text/small"]


def test_filters_count_pixels_of_the_phase_s_crops(tmp_path: Path) -> None:
    render_shards(Rendering(48, TextStyle(font_sizes=(12, 12), words=(1, 1)), 3), tmp_path, 4)
    kept, small = filtered(tmp_path, 96)
    assert (kept, small) == (4, 0)
    assert filtered(tmp_path, 24) == (0, 4)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "phases.2.image_size=30",
            r"phases[2].image_size: images: expected sides that are multiples of 4, got 30 x 30.",
        ),
        ("phases.1.image_size=4", r"phases[1].image_size: objective.adversarial: expected images of 6 pixels a side"),
        ("data.image_size=30", r"data.image_size: images: expected sides that are multiples of 4, got 30 x 30."),
        ("phases.2.image_size=0", r"phases.2.image_size: "),
    ],
)
def test_a_size_that_does_not_fit_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str, sentence: str
) -> None:
    monkeypatch.setattr(building, "build_training_data", lambda *args, **options: pytest.fail("has looked"))
    recipe, out = str(TINY), str(tmp_path / "run")
    for words in (["check", recipe], ["plan", recipe], ["train", recipe, "--out", out]):
        result = CliRunner().invoke(app, [*words, OPTIONS + override])
        assert result.exit_code in (1, 2), (words, result.stdout)
        assert sentence in result.stderr


def test_show_says_it() -> None:
    shown = CliRunner().invoke(app, ["show", str(TINY), LARGER]).stdout
    assert [line.split()[-1] for line in shown.splitlines() if "image_size" in line] == ["null", "48", "null", "32"]


def test_a_plan_takes_the_memory_of_the_phase_that_needs_most() -> None:
    """The decoder alone learns in the last phase, which takes less but for its images."""
    loaded = load_recipe(TINY, [LARGEST])
    trainer = build_trainer(loaded)
    with loaded.catalogue.in_use():
        found, ghosts = needs(trainer, loaded, 1), ghosts_of(trainer, loaded, terms_of(loaded).terms)
        small = needs(build_trainer(load_recipe(TINY)), loaded, 1)
    assert [ghost.side for ghost in ghosts] == [32, 32, 64]
    assert found.step(2) == ghosts[2].step_bytes(2, bf16=False)
    assert sum(found.step(2).values()) > 2 * sum(small.step(2).values())
    assert found.engines[0].states == small.engines[0].states
    assert found.phases[2].operations > 3 * small.phases[2].operations
    assert any("64 x 64 in 'decoder'" in note for note in found.notes)
    assert not any("decoder" in note for note in small.notes)


def test_the_time_left_knows_that_larger_images_take_longer() -> None:
    common = {"steps": 10, "batch_size": 4, "lr": 1e-3}
    phases = [Phase(name="a", terms=(), **common), Phase(name="b", image_size=64, **common)]
    first, second = plan(phases, ("text",), 0, 32)
    left = TimeLeft([first, second])
    left.note(first, 1.0)
    assert left.seconds(first, 10) == pytest.approx(10 * 4 * TERMS_COST)
    left.note(second, 5.0)
    assert left.seconds(first, 10) == pytest.approx(50)
