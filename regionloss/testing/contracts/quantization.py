"""Contract of quantizers: what a tokenizer and its trainer need of one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class QuantizerContract:
    """A quantizer turns latents into ids and vectors, and ids into the same vectors."""

    def make(self) -> Any:
        """Return the quantizer under test, with a few codes."""
        raise NotImplementedError

    def latents(self, quantizer: Any) -> Tensor:
        """Return latents (2, d, 3, 5) of the quantizer's length of codes."""
        d = quantizer.codebook.shape[1]
        return torch.randn(2, d, 3, 5, generator=torch.Generator().manual_seed(0))

    def test_ids_are_numbers_of_its_codes(self) -> None:
        """Ids (B, h * w) are whole numbers below `codebook_size`, the number of vectors of the codebook."""
        quantizer = self.make().eval()
        z_q, loss, ids = quantizer(z := self.latents(quantizer))
        assert len(quantizer.codebook) == quantizer.codebook_size
        assert z_q.shape == z.shape
        assert loss.shape == ()
        assert ids.shape == (2, 15)
        assert ids.dtype == torch.int64
        assert 0 <= int(ids.min()) <= int(ids.max()) < quantizer.codebook_size

    def test_ids_stand_for_the_vectors(self) -> None:
        """What `assign` says of latents, `lookup` and the codebook turn into what a forward gives the decoder."""
        quantizer = self.make().eval()
        z_q, _, ids = quantizer(z := self.latents(quantizer))
        assert torch.equal(quantizer.assign(z), ids)
        assert torch.allclose(quantizer.lookup(ids, (3, 5)), z_q, atol=1e-5)
        vectors = quantizer.codebook[ids].unflatten(1, (3, 5)).movedim(-1, 1)
        assert torch.allclose(vectors, z_q, atol=1e-5)

    def test_gradients_reach_the_latents(self) -> None:
        """The encoder learns through the vectors: their gradient in the latents is there and finite."""
        quantizer = self.make().train()
        z = self.latents(quantizer).requires_grad_()
        (gradient,) = torch.autograd.grad((quantizer(z)[0] * torch.arange(5.0)).sum(), z)
        assert bool(gradient.isfinite().all())
        assert float(gradient.abs().sum()) > 0, "expected a gradient in the latents, got none. Look for .detach()."

    def test_a_step_ends_with_an_update_and_numbers(self) -> None:
        """After a training forward `update` may be called, and `stats` are single numbers."""
        quantizer = self.make().train()
        quantizer(self.latents(quantizer))
        quantizer.update()
        assert all(value.shape == () for value in quantizer.stats().values())
