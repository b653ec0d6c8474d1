"""An autoencoder of any make, as the training loop knows what it trains."""

from __future__ import annotations

import torch
from torch import Tensor

from insighttok_ref.tokenizers.base import TokenizerOutput, Trainee
from regionloss.autoencoders import TrainableAutoencoder


class Tuned(Trainee):
    """Images through the parts that are frozen, which keep no gradients, and through those that learn.

    Everything stays in evaluation mode: no statistics move, and no noise is drawn but for an encoder that learns.

    Args:
        autoencoder: What is tuned, on its device, with the parts that learn chosen.
    """

    def __init__(self, autoencoder: TrainableAutoencoder) -> None:
        super().__init__()
        self.autoencoder, self.module = autoencoder, autoencoder.module
        before = [weight for part in ("encoder", "quantizer") for weight in weights(autoencoder, part)]
        self.encodes_alike = not any(weight.requires_grad for weight in before)

    @property
    def last_layer(self) -> Tensor:
        """The weight whose gradients losses are compared at: the decoder's last, or the last of it that learns."""
        last = self.autoencoder.last_layer
        learning = [one for one in self.autoencoder.parts["decoder"][-1].parameters() if one.requires_grad]
        return last if last.requires_grad or not learning else learning[-1]

    def forward(self, x: Tensor) -> TokenizerOutput:
        """Reconstruct images (B, 3, H, W) in [-1, 1]; what holds latents is there if they can change."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.encodes_alike):
            found = self.autoencoder.held_latents(x)
        latents, kl, commitment = found.latents, None, x.new_zeros(())
        if found.logvar is not None and not self.encodes_alike:
            latents, kl = drawn(latents, found.logvar, x.numel())
        commits = found.commitment is not None and not self.encodes_alike
        if found.commitment is not None and commits:
            commitment = found.commitment
        ids = x.new_empty((len(x), 0), dtype=torch.int64) if found.ids is None else found.ids
        return TokenizerOutput(self.autoencoder.decode(latents), commitment, ids, kl=kl, commits=commits)

    def train(self, mode: bool = True) -> Tuned:
        """Stay in evaluation mode."""
        super().train(False)
        return self


def drawn(mean: Tensor, logvar: Tensor, values: int) -> tuple[Tensor, Tensor]:
    """Return latents drawn from normal distributions, and how far these are from standard ones, over so many values.

    Without noise nothing would keep the variance small: the divergence alone would draw it to 1.
    """
    kl = 0.5 * (mean.float().square() + logvar.float().exp() - 1 - logvar.float()).sum() / values
    return mean + (0.5 * logvar).exp() * torch.randn_like(mean), kl


def weights(autoencoder: TrainableAutoencoder, part: str) -> list[Tensor]:
    """Return the weights of one part; none where it has no such part."""
    return [weight for module in autoencoder.parts.get(part, ()) for weight in module.parameters()]
