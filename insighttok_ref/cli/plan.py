"""`regionloss plan`: what a recipe's training takes, calculated, and what fits the devices that are there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from insighttok_ref.cli.pace import CARDS, Pace, spell
from regionloss.console import Overrides, RecipeName, counted, print_table
from regionloss.disk import whole
from regionloss.errors import InputError, RegionLossError, expected

if TYPE_CHECKING:
    from regionloss.recipe import EngineNeeds, PhaseNeeds, TrainingNeeds

GIB = 2**30
UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 2**20, "GiB": GIB, "TiB": 2**40}
#: Share of the memory that is left for the context, kernels' work space, and gaps between tensors.
SPARE = 0.05
#: How many times as large the next micro-batch that is tried is at least.
WIDER = 1.5
ALL = "in all"


def plan(
    recipe: RecipeName,
    overrides: Overrides = None,
    gpus: Annotated[int, typer.Option(help="GPUs of all machines together, a process each.")] = 1,
    memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Memory of one GPU: 80GB (of 1000 MB), 79GiB (of 1024 MiB).")
    ] = "80GB",
    card: Annotated[str, typer.Option(help=f"Whose peak the days are reckoned by: {', '.join(CARDS)}.")] = "A100",
    utilisation: Annotated[float, typer.Option(help="Share of the peak that training is assumed to reach.")] = 0.4,
    tflops: Annotated[
        float | None,
        typer.Option(
            help="TFLOP/s that one GPU reaches, where measured; instead of card and share.", show_default=False
        ),
    ] = None,
    images_per_second: Annotated[
        float | None,
        typer.Option(help="Images a second of all GPUs, where measured; instead of operations.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write DeepSpeed's configuration of the choice (JSON).")
    ] = None,
) -> None:
    """Calculate what fits: memory by part, micro-batch, accumulation and days, without a GPU.

    Nothing is trained, and neither data nor weights need be here: models are built without memory, and a step of theirs
    is taken by the rules of a GPU. What is assumed stands under the tables.
    """
    from regionloss.recipe import build_trainer, load_recipe

    if gpus < 1:
        raise InputError(expected("--gpus", "1 or more", str(gpus)))
    room, pace = bytes_of(memory), Pace.of(card, utilisation, tflops, images_per_second)
    loaded = load_recipe(recipe, overrides or ())
    trainer = build_trainer(loaded)
    if not hasattr(trainer, "needs"):
        got = f"'{loaded.recipe.trainer.name}', which does not"
        advice = "It would have a method 'needs'; see register_trainers in docs/reference/hooks.md."
        raise InputError(expected("trainer.name", "a trainer that says what it needs", got, advice))
    with loaded.catalogue.in_use():
        needs: TrainingNeeds = trainer.needs(loaded, gpus)
        if out is not None and all(engine.config is None for engine in needs.engines):
            advice = "Add trainer.options.engine.name=deepspeed, or leave --out away."
            got = f"'{needs.engines[0].name}'"
            raise InputError(expected("--out", "a recipe whose engine is deepspeed", got, advice))
        sizes = micro_batches(needs.phases, gpus, needs.micro_batch)
        fits = Fits.of(needs, sizes, gpus, int(room * (1 - SPARE)))
    print_all(needs, fits, gpus, room)
    if (chosen := fits.choice()) is None:
        advice = "Take more or larger GPUs, compute activations again (model.checkpointing), or take a smaller model."
        got = f"{room / GIB:.1f} GiB"
        raise RegionLossError(expected("--memory", f"{fits.least() / (1 - SPARE) / GIB:.1f} GiB or more", got, advice))
    tell(needs, *chosen, gpus, pace)
    if out is not None:
        write_config(needs, *chosen, gpus, out)


def bytes_of(text: str) -> int:
    """Return the bytes of a size with its unit.

    Raises:
        InputError: No number, no unit, or one that is not known.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", text)
    units = {name.lower(): size for name, size in UNITS.items()}
    if found is None or found[2].lower() not in units or not float(found[1]):
        raise InputError(expected("--memory", f"a number with a unit ({', '.join(UNITS)}), such as 80GB", f"'{text}'"))
    return int(float(found[1]) * units[found[2].lower()])


def micro_batches(phases: Sequence[PhaseNeeds], gpus: int, wanted: int | None = None) -> list[int]:
    """Return micro-batches by which the batches of all phases divide, rising; of many some, and the one that is wanted.

    Raises:
        InputError: There is none, since the GPUs do not divide a batch.
    """
    common = gcd(*(phase.batch_size for phase in phases))
    if common % gpus:
        near = sorted(divisors(common), key=lambda one: abs(one - gpus))[:2]
        said = ", ".join(dict.fromkeys(str(phase.batch_size) for phase in phases))
        advice = f"Say --gpus {' or '.join(map(str, sorted(near)))}, or another batch_size."
        raise InputError(expected("--gpus", f"a divisor of the batch ({said})", str(gpus), advice))
    found = [0]
    for size in divisors(common // gpus):
        if size >= WIDER * found[-1] or size in (wanted, common // gpus):
            found.append(size)
    return found[1:]


def divisors(number: int) -> list[int]:
    """Return what divides a number, rising."""
    return [one for one in range(1, number + 1) if not number % one]


@dataclass(frozen=True)
class Fits:
    """What was calculated: the bytes of every engine and of every micro-batch that was tried.

    Args:
        engines: Ways of keeping the states, the recipe's own first.
        steps: Bytes by part, by micro-batch; the last one may fit nowhere.
        usable: Bytes that may be taken.
    """

    engines: Sequence[EngineNeeds]
    steps: Mapping[int, Mapping[str, int]]
    usable: int

    @classmethod
    def of(cls, needs: TrainingNeeds, sizes: Sequence[int], gpus: int, usable: int) -> Fits:
        """Calculate micro-batches until one fits nowhere."""
        steps: dict[int, Mapping[str, int]] = {}
        fits = cls(needs.engines, steps, usable)
        for size in sizes:
            steps[size] = needs.step(size)
            if not any(fits.fit(engine, size) for engine in needs.engines):
                break
        return fits

    def total(self, engine: EngineNeeds, size: int) -> int:
        """Return the bytes of an engine and a micro-batch."""
        return sum(engine.states.values()) + sum(self.steps[size].values())

    def fit(self, engine: EngineNeeds, size: int) -> bool:
        """Whether an engine and a micro-batch fit."""
        return self.total(engine, size) <= self.usable

    def largest(self, engine: EngineNeeds) -> int | None:
        """Return the largest micro-batch that fits; None where none does."""
        return max((size for size in self.steps if self.fit(engine, size)), default=None)

    def choice(self) -> tuple[EngineNeeds, int] | None:
        """Return the first engine that fits, the recipe's before others, and its micro-batch."""
        found = ((engine, self.largest(engine)) for engine in self.engines)
        return next(((engine, size) for engine, size in found if size is not None), None)

    def least(self) -> int:
        """Return the fewest bytes with which it would go."""
        return min(self.total(engine, size) for engine in self.engines for size in self.steps)


def print_all(needs: TrainingNeeds, fits: Fits, gpus: int, room: int) -> None:
    """Print what engines keep, what a step takes at each micro-batch beside the engine that is chosen, and notes."""
    engine = (fits.choice() or (fits.engines[0], 0))[0]
    largest = max(fits.total(one, size) for one in fits.engines for size in fits.steps)
    unit = "GiB" if largest >= GIB else "MiB"

    def cells(parts: Mapping[str, int], names: Sequence[str]) -> list[str]:
        return [f"{parts.get(name, 0) / UNITS[unit]:.2f}" for name in names]

    for table in needs.tables:
        titled(table.title, table.columns, table.rows)
    parts = names_of([one.states for one in fits.engines])
    rows = [
        [
            one.name,
            *cells({**one.states, ALL: sum(one.states.values())}, [*parts, ALL]),
            str(fits.largest(one) or "none"),
        ]
        for one in sorted(fits.engines, key=lambda one: one.name)
    ]
    title = f"{unit} a GPU that are taken all the time, {counted(gpus, 'GPU')}; the recipe has {fits.engines[0].name}"
    titled(title, ["", *parts, ALL, "largest micro-batch"], rows)
    parts, states = names_of(fits.steps.values()), {"states": sum(engine.states.values())}
    rows = [
        [
            str(size),
            *cells({**states, **step, ALL: fits.total(engine, size)}, ["states", *parts, ALL]),
            "yes" if fits.fit(engine, size) else "no",
        ]
        for size, step in fits.steps.items()
    ]
    titled(f"{unit} a GPU by micro-batch, {engine.name}", ["micro-batch", "states", *parts, ALL, "fits"], rows)
    typer.echo(f"fits: within {room / GIB:.1f} GiB, of which {SPARE:.0%} stay free for what is not tensors.")
    for note in needs.notes:
        typer.echo(note)


def titled(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table under a title that may be wider."""
    typer.echo(title)
    print_table("", columns, rows)


def names_of(tables: Iterable[Mapping[str, int]]) -> list[str]:
    """Return the parts that take anything."""
    return list(dict.fromkeys(part for table in tables for part, size in table.items() if size))


def tell(needs: TrainingNeeds, engine: EngineNeeds, size: int, gpus: int, pace: Pace) -> None:
    """Print the choice, how a recipe says it, and how long it takes."""
    cuts = {
        phase.batch_size: f"{size} x {phase.batch_size // (size * gpus)} x {gpus} = {phase.batch_size}"
        for phase in needs.phases
    }
    typer.echo(f"chosen: {engine.name}, micro-batch x accumulation x GPUs: {', '.join(cuts.values())}")
    typer.echo(f"say: {' '.join([*engine.overrides, f'{needs.micro_batch_key}={size}'])}")
    seconds = {phase.name: pace.seconds(phase, gpus, needs.bf16) for phase in needs.phases}
    each = "" if len(seconds) == 1 else f" ({', '.join(f'{name} {spell(one)}' for name, one in seconds.items())})"
    typer.echo(f"time: {spell(sum(seconds.values()))}{each}, at {pace.reason(needs.bf16)}.")


def write_config(needs: TrainingNeeds, engine: EngineNeeds, size: int, gpus: int, out: Path) -> None:
    """Write DeepSpeed's configuration of a choice, for the phase with the most steps."""
    assert engine.config is not None
    longest = max(needs.phases, key=lambda phase: phase.steps)
    config = engine.config(size, longest.batch_size // (size * gpus))
    with whole(out) as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    typer.echo(f"written: {out}, DeepSpeed's configuration of phase '{longest.name}'")
