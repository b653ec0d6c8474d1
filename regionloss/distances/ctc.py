"""How well a reader reads the known transcription in the reconstruction."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from regionloss.distances.base import Features
from regionloss.tensors import full_precision


class CTC:
    """`-log p(text | r')` by a reader's CTC, for each character of the transcription; the target's pixels do not count.

    Regions whose transcription is not known, has characters that the reader does not know, or is longer than its
    positions, have none to miss: 0. It is no distance of two images: equal ones cost what the reader misreads in them.

    Source: Graves et al. (2006), eq. 14.
    """

    of = "logits"
    labelled = True

    def __call__(self, features: Features, target_features: Features, labels: Tensor | None = None) -> Tensor:
        """Return (R,) losses of logits (R, classes, positions).

        Args:
            features: Logits of the reconstruction, alone in their tuple.
            target_features: Not looked at.
            labels: (R, N) int64 on the CPU, classes of the characters, -1 behind the last; None where none is known.
        """
        logits = full_precision(features[0])
        if labels is None or labels.shape[1] == 0:
            return logits.flatten(1).sum(1) * 0
        # Lengths on the CPU: reading them back from an accelerator would wait for it.
        lengths, steps = (labels >= 0).sum(1), logits.new_full((len(logits),), logits.shape[2], device="cpu").long()
        targets = labels.clamp(min=0).to(logits.device, non_blocking=True)
        steps_first = logits.log_softmax(1).permute(2, 0, 1)
        losses = F.ctc_loss(steps_first, targets, steps, lengths, reduction="none", zero_infinity=True)
        lengths = lengths.to(logits.device, non_blocking=True)
        return (losses / lengths.clamp(min=1)).where(lengths > 0, 0)
