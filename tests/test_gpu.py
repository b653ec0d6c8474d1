"""On an accelerator: the same numbers as on the CPU, and a step that never waits for the device."""

from __future__ import annotations

import pytest
import torch

from regionloss import LossTerms, Term
from tests.helpers import face_loss, face_regions, images, text_loss, text_regions

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here")]


def step(device: str, terms: LossTerms) -> tuple[torch.Tensor, torch.Tensor]:
    reconstruction = images(3, dtype=torch.float32).to(device).requires_grad_()
    regions = {r.kind: r.to(device) for r in (text_regions(), face_regions())}
    out = terms(reconstruction, images(3, seed=1, dtype=torch.float32).to(device), regions)
    (gradient,) = torch.autograd.grad(out.total, reconstruction)
    return out.total.detach(), gradient


def terms() -> LossTerms:
    return LossTerms({"text": Term(text_loss(), "text"), "face": Term(face_loss(), "face")})


def test_equals_the_cpu() -> None:
    for ours, expected in zip(step("cuda", terms()), step("cpu", terms()), strict=True):
        torch.testing.assert_close(ours.cpu(), expected, atol=1e-4, rtol=1e-3)


def test_a_step_never_waits_for_the_device() -> None:
    both = terms()
    reconstruction = images(3, dtype=torch.float32).cuda().requires_grad_()
    target = images(3, seed=1, dtype=torch.float32).cuda()
    regions = {r.kind: r.to("cuda") for r in (text_regions(), face_regions())}
    both(reconstruction, target, regions).total.backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        both(reconstruction, target, regions).total.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
