"""Layers of a torchvision network as features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import SwinTransformer, VisionTransformer, get_model, get_model_weights, list_models
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from regionloss.backbones.base import FeatureBackbone
from regionloss.backbones.hub_files import of_torch_hub
from regionloss.backbones.input_spec import IMAGENET_MEAN, IMAGENET_STD, InputSpec
from regionloss.errors import InputError, UnknownNameError, WeightsError, did_you_mean, expected
from regionloss.weights import load_strictly

#: Networks whose weights come in a package, by name.
PACKAGED = {"mobilenet_v2": "mobilenet-v2"}
#: Levels where none are chosen: one of each size, the largest ones.
LEVELS = 4
#: What torchvision sets beside the weights: these two see images normalised in another way.
AS_TRAINED = {name: {"transform_input": True, "init_weights": False} for name in ("googlenet", "inception_v3")}
Numbers = Sequence[float]


class TorchvisionBackbone(FeatureBackbone):
    """Outputs of layers of an image classifier, for crops of any size that it takes.

    Tokens of a transformer are read as maps, its class token left out.

    Args:
        network: Name in `torchvision.models`; written behind the component's name as well, `torchvision/resnet50`.
        weights: Name of registered weights, a path to torchvision's file for this network, or the name of one of its
            files, such as `IMAGENET1K_V1`, in torch.hub's cache; empty for `DEFAULT` there (MobileNetV2's come in a
            package). Never random, and never fetched.
        taps: Names of the layers whose outputs are compared, as torchvision's feature extraction names them; none for
            the last one of each of the four largest sizes, or four blocks of a vision transformer.
        key: Entry with the weights in a file that has several networks, such as `"model_ema"`.
        mean: Subtracted from RGB in [0, 1]; None for what torchvision normalises this network's images by.
        std: Divisor of each channel; None for torchvision's.

    Raises:
        UnknownNameError: torchvision has no such network.
        InputError: The network has no such layer.
        WeightsError: The weights are not here, or are another network's.
    """

    def __init__(
        self,
        network: str = "mobilenet_v2",
        weights: str = "",
        taps: Sequence[str] = (),
        key: str = "",
        mean: Numbers | None = None,
        std: Numbers | None = None,
    ) -> None:
        if network not in list_models():
            advice = did_you_mean(network, list_models())
            raise UnknownNameError(f"torchvision has no network named '{network}'. {advice}")
        file = self.weights_of({"network": network, "weights": weights})
        if not file:
            raise WeightsError(absent(network, weights))
        model = get_model(network, weights=None, **AS_TRAINED.get(network, {})).eval()
        load_strictly(model, file, key=key)
        transformer = isinstance(model, VisionTransformer)
        self.taps = tuple(taps) or default_taps(model)
        refuse_unknown(model, network, self.taps)
        own_mean, own_std = normalisation(network, file)
        side = model.image_size if transformer else None
        size = None if side is None else (side, side)
        spec = InputSpec(size, (0.0, 1.0), "RGB", tuple(mean or own_mean), tuple(std or own_std))
        extractor = create_feature_extractor(model, {tap: str(number) for number, tap in enumerate(self.taps)})
        super().__init__(extractor, spec, channels_last=not transformer, prefix_tokens=1 if transformer else None)
        self.rows_first = isinstance(model, SwinTransformer)

    @staticmethod
    def weights_of(options: Mapping[str, Any]) -> str:
        """Return which weights options choose: a name or a path; empty where torch.hub's cache lacks them."""
        network, weights = options.get("network", "mobilenet_v2"), str(options.get("weights", ""))
        if not weights and network in PACKAGED:
            return PACKAGED[network]
        entries = files_of(network)
        if weights and weights not in entries:
            return weights
        file = of_torch_hub(entries[weights or "DEFAULT"]) if entries else Path()
        return str(file) if file.is_file() else ""

    def levels(self, network: nn.Module, images: Tensor) -> list[Tensor]:
        """Return the outputs of the layers, in the order of `taps`."""
        found = network(images)
        levels = [found[str(number)] for number in range(len(self.taps))]
        if not self.rows_first:
            return levels
        inside = [tap.partition(".")[0] in ("features", "norm") for tap in self.taps]
        return [level.movedim(-1, 1) if rows else level for level, rows in zip(levels, inside, strict=True)]


def files_of(network: str) -> dict[str, str]:
    """Return the addresses of a network's files by their names in torchvision, `DEFAULT` among them."""
    known: Any = get_model_weights(network)
    return {name: entry.url for name, entry in known.__members__.items()}


def absent(network: str, weights: str) -> str:
    """Return the sentence for weights that torch.hub's cache does not have."""
    entries, name = files_of(network), weights or "DEFAULT"
    where = f"weights of torchvision's {network}"
    if not entries:
        return expected(where, "a file", "none, and torchvision has none", "Set 'weights' to its path.")
    file = of_torch_hub(entries[name])
    advice = (
        f"Set 'weights' to the path of a copy, or fetch it where there is a network: "
        f"python -c \"import torchvision; torchvision.models.get_model('{network}', weights='{name}')\"."
    )
    return expected(where, f"torchvision's file {name} as {file}", "none", advice)


def normalisation(network: str, file: str) -> tuple[Numbers, Numbers]:
    """Return mean and standard deviation of the images that these weights were trained on."""
    known: Any = get_model_weights(network)
    entries = {of_torch_hub(entry.url).name: entry for entry in known.__members__.values()}
    entry = entries.get(Path(file).name) or getattr(known, "DEFAULT", None)
    seen = entry.transforms() if entry else None
    return tuple(getattr(seen, "mean", IMAGENET_MEAN)), tuple(getattr(seen, "std", IMAGENET_STD))


def default_taps(model: nn.Module) -> tuple[str, ...]:
    """Return the layers that are compared where none are chosen."""
    if isinstance(model, VisionTransformer):
        blocks = [f"encoder.layers.{name}" for name, _ in model.encoder.layers.named_children()]
        return tuple(blocks[len(blocks) * (i + 1) // LEVELS - 1] for i in range(LEVELS))
    last: dict[tuple[int, ...], str] = {}

    def note(name: str) -> Any:
        def keep(_: nn.Module, __: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.dim() == 4:
                last[tuple(output.shape[1:3] if rows_first else output.shape[2:])] = name

        return keep

    rows_first, ends = isinstance(model, SwinTransformer), ("avgpool", "permute")
    parts = [(name, part) for name, part in model.named_modules() if name not in ends and name.count(".") < 2 and name]
    hooks = [part.register_forward_hook(note(name)) for name, part in parts]
    with torch.no_grad():
        model(torch.zeros(1, 3, 224, 224))
    for hook in hooks:
        hook.remove()
    return tuple(last[size] for size in sorted(last, reverse=True)[:LEVELS])


def refuse_unknown(model: nn.Module, network: str, taps: Sequence[str]) -> None:
    """Raise InputError for a layer that a network does not have."""
    nodes = [node.split(".") for node in get_graph_node_names(model)[1]]
    layers = {".".join(node[:depth]) for node in nodes for depth in range(1, len(node) + 1)}
    for tap in taps:
        if tap not in layers:
            raise InputError(f"torchvision.taps: {network} has no layer '{tap}'. {did_you_mean(tap, layers)}")
