"""On an accelerator: the CPU's codebook, and no step that waits for the device."""

from __future__ import annotations

import pytest
import torch

from insighttok_ref.quantizers.ema import EMAQuantizer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here"),
    pytest.mark.filterwarnings("ignore:quantizer. .* tokens per code and update"),
]

RESTARTS = ("random", "dist", "off")


class Scripted(EMAQuantizer):
    """Draws the same on every device."""

    def draw_permutation(self, count: int) -> torch.Tensor:
        return torch.arange(count - 1, -1, -1, device=self.cluster_size.device)

    def draw_noise(self) -> torch.Tensor:
        return torch.ones(self.codebook_size, self.code_dim, device=self.cluster_size.device)


def trained(device: str, restart: str) -> EMAQuantizer:
    torch.manual_seed(0)
    quantizer = Scripted(64, 16, restart=restart).to(device)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(1)
    for _ in range(4):
        quantizer(torch.randn(2, 16, 8, 8, generator=generator).to(device))
        quantizer.update()
    return quantizer


@pytest.mark.parametrize("restart", RESTARTS)
def test_equals_the_cpu(restart: str) -> None:
    cpu, cuda = trained("cpu", restart), trained("cuda", restart)
    for key, value in cpu.state_dict().items():
        torch.testing.assert_close(cuda.state_dict()[key].cpu(), value, atol=1e-5, rtol=0)
    assert cuda.stats().keys() == cpu.stats().keys()


@pytest.mark.parametrize("restart", RESTARTS)
def test_a_step_never_waits_for_the_device(restart: str) -> None:
    quantizer = trained("cuda", restart)
    z = torch.randn(2, 16, 8, 8, device="cuda", requires_grad=True)

    def step() -> None:
        z_q, loss, _ = quantizer(z)
        (z_q.sum() + loss).backward()
        quantizer.update()
        quantizer.stats()

    step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
