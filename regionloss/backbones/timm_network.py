"""Levels of a timm network as features."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import timm
from timm.data.config import resolve_model_data_config
from torch import Tensor, nn

from regionloss.backbones.base import FeatureBackbone
from regionloss.backbones.hub_files import of_hugging_face, of_torch_hub
from regionloss.backbones.input_spec import InputSpec
from regionloss.checks import size_of
from regionloss.errors import InputError, UnknownNameError, WeightsError, did_you_mean, expected
from regionloss.weights import load_state_dict, load_strictly

FILES = ("model.safetensors", "pytorch_model.bin")
Numbers = Sequence[float]


class TimmBackbone(FeatureBackbone):
    """Intermediate feature maps of a timm network, as its `forward_intermediates` gives them.

    Tokens of a transformer (DINO, CLIP, ...) are read as maps, those of the class and registers left out.

    Args:
        network: Name in `timm`, such as `resnet50.a1_in1k`: what follows the dot says how images are normalised;
            written behind the component's name as well, `timm/resnet50.a1_in1k`.
        weights: Path to the network's file (`.safetensors`, `.pth`), its classifier included; empty for timm's own in
            the cache of the Hugging Face hub or torch.hub. Never random, and never fetched.
        out_indices: Numbers of the levels to compare, from 0; negative ones count from the last. Of a transformer, of
            its blocks.
        key: Entry with the weights in a file that has several networks, such as `"model_ema"`.
        size: Height and width of the crops, pixels; None for that which the network is bound to, if it is. A
            transformer's embeddings of places are interpolated.
        mean: Subtracted from RGB in [0, 1]; None for what timm normalises this network's images by.
        std: Divisor of each channel; None for timm's.

    Raises:
        UnknownNameError: timm has no such network.
        InputError: It has no intermediate levels or not as many, or is bound to another size.
        WeightsError: The weights are not here, or are another network's.
    """

    def __init__(
        self,
        network: str,
        weights: str = "",
        out_indices: Sequence[int] = (0, 1, 2, 3),
        key: str = "",
        size: tuple[int, int] | None = None,
        mean: Numbers | None = None,
        std: Numbers | None = None,
    ) -> None:
        if not timm.is_model(network):
            raise UnknownNameError(
                f"timm has no network named '{network}'. {did_you_mean(network, timm.list_models())}"
            )
        file = self.weights_of({"network": network, "weights": weights})
        if not file:
            raise WeightsError(absent(network))
        model: Any = timm.create_model(network, pretrained=False)
        read(model, file, key)
        if not hasattr(model, "forward_intermediates"):
            raise InputError(expected("timm.network", "a network with forward_intermediates", f"'{network}'"))
        data = resolve_model_data_config(model)
        taken = sized(model, size, tuple(data["input_size"][1:]))
        super().__init__(
            model, InputSpec(taken, (0.0, 1.0), "RGB", tuple(mean or data["mean"]), tuple(std or data["std"]))
        )
        self.chosen = list(out_indices)

    @staticmethod
    def weights_of(options: Mapping[str, Any]) -> str:
        """Return which weights options choose: a name or a path; empty where no cache has them."""
        if weights := options.get("weights"):
            return str(weights)
        found = timm.get_pretrained_cfg(str(options.get("network", "")))
        if found is None:
            return ""
        repository, named = found.hf_hub_id, found.hf_hub_filename
        if repository and (file := of_hugging_face(repository, (named,) if named else FILES)):
            return str(file)
        kept = of_torch_hub(str(found.url)) if found.url else None
        return str(kept) if kept and kept.is_file() else ""

    def levels(self, network: nn.Module, images: Tensor) -> list[Tensor]:
        """Return the levels, (R, C, h, w) each."""
        try:
            intermediates: Any = network.forward_intermediates
            levels: list[Tensor] = intermediates(
                images, indices=self.chosen, output_fmt="NCHW", intermediates_only=True
            )
        except (AssertionError, IndexError) as error:
            got = f"{self.chosen} ({error})"
            raise InputError(expected("timm.out_indices", "numbers of the network's levels", got)) from error
        return levels


def absent(network: str) -> str:
    """Return the sentence for weights that no cache has."""
    found = timm.get_pretrained_cfg(network)
    where = f"weights of timm's {network}"
    if found is None or not (found.hf_hub_id or found.url):
        return expected(where, "a file", "none, and timm has none", "Set 'weights' to its path.")
    advice = (
        f"Set 'weights' to the path of a copy, or fetch it where there is a network: "
        f"python -c \"import timm; timm.create_model('{network}', pretrained=True)\"."
    )
    place = f"{found.hf_hub_id} in the cache of the Hugging Face hub" if found.hf_hub_id else "torch.hub's cache"
    return expected(where, f"timm's file, {place}", "none", advice)


def read(model: nn.Module, file: str, key: str) -> None:
    """Give a network its weights, in timm's layout or one that timm translates (DINO's own files, say).

    Raises:
        WeightsError: They are not here, or another network's.
    """
    try:
        load_strictly(model, file, key=key)
    except WeightsError as error:
        translate: Any = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
        if translate is None:
            raise
        tensors = load_state_dict(file, key=key)
        try:
            model.load_state_dict(translate(tensors, model))
        except Exception:  # a file of another network may break its code anywhere
            raise error from None


def sized(model: Any, size: Sequence[int] | None, own: tuple[int, int]) -> tuple[int, int] | None:
    """Set the size of images of a network that is bound to one; return it, None where it takes any.

    Raises:
        InputError: It cannot be set, or the network's patches do not fit into it.
    """
    wanted = None if size is None else size_of(size, "timm.size")
    if not model.pretrained_cfg.get("fixed_input_size", False):
        return wanted
    if wanted in (None, own):
        return own
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", (1, 1))
    try:
        if any(side % step for side, step in zip(wanted, patch, strict=True)):
            raise ValueError(f"its patches are {patch[0]} x {patch[1]}")
        model.set_input_size(img_size=wanted)
    except (AttributeError, AssertionError, ValueError, TypeError, RuntimeError) as error:
        got = f"{wanted[0]} x {wanted[1]} ({error})"
        raise InputError(expected("timm.size", f"one that the network takes, {own[0]} x {own[1]} say", got)) from error
    return wanted
