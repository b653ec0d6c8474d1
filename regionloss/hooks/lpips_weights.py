"""The weight files of LPIPS: where each is, what it is, and what its makers allow."""

from __future__ import annotations

from typing import Any

TORCHVISION = "https://download.pytorch.org/models"
HEADS = "pip:lpips==0.1.4:lpips/weights/v0.1"
ST_LPIPS = "pip:stlpips-pytorch==0.0.2:stlpips_pytorch/weights/vST0.0"


def _trunk(filename: str, network: str) -> dict[str, Any]:
    return {
        "filename": filename,
        "sha256": "",
        "size": 0,
        "source": f"{TORCHVISION}/{filename}",
        "licence": "BSD-3-Clause (torchvision); weights: not stated",
        "summary": f"torchvision's {network}, trained on ImageNet: the trunk of LPIPS",
    }


def _heads(name: str, sha256: str, size: int) -> dict[str, Any]:
    return {
        "filename": f"lpips-v0.1-{name}.pth",
        "sha256": sha256,
        "size": size,
        "source": f"{HEADS}/{name}.pth",
        "licence": "BSD-2-Clause",
        "summary": f"the heads of LPIPS v0.1 for a {name} trunk",
        "packaged": True,
    }


def _shift_tolerant(name: str, sha256: str, size: int) -> dict[str, Any]:
    return {
        "filename": f"{name}_shift_tolerant.pth",
        "sha256": sha256,
        "size": size,
        "source": f"{ST_LPIPS}/{name}_shift_tolerant.pth",
        "licence": "BSD-2-Clause (its classifier: MIT; part of the code: CC-BY-NC-SA-4.0); weights: not stated",
        "summary": f"shift-tolerant LPIPS with a {name} trunk",
        "packaged": name == "alex",
    }


LPIPS_WEIGHTS: dict[str, dict[str, Any]] = {
    "vgg16-torchvision": _trunk("vgg16-397923af.pth", "VGG16"),
    "alexnet-torchvision": _trunk("alexnet-owt-7be5be79.pth", "AlexNet"),
    "lpips-heads-vgg": _heads("vgg", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868", 7289),
    "lpips-heads-alex": _heads("alex", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0", 6009),
    "st-lpips-vgg": _shift_tolerant(
        "vgg", "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250", 58_907_298
    ),
    "st-lpips-alex": _shift_tolerant(
        "alex", "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee", 9_899_296
    ),
}
