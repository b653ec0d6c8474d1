"""Gradients averaged over the ranks, bucket by bucket, while the backward pass still makes the next ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch import distributed as dist

from insighttok_ref.training.compat import copy_each
from regionloss.runs import rank_and_size

MOST = 2**24  # gradients in one reduction: 64 MiB of float32


class Sent(NamedTuple):
    """A reduction under way: the gradients, the values that all ranks add, and what to wait for."""

    gradients: list[Tensor]
    values: Tensor
    work: Any


class GradientBuckets:
    """Buckets of weights in the order in which a backward pass reaches them: the last ones first.

    Buckets are sent in that order, on every rank: one is sent as soon as all of its gradients and the buckets before it
    are there. On one rank nothing is done.

    Args:
        parameters: Weights that learn, on one device.
        most: A bucket is full with so many values, or a little more.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], most: int = MOST) -> None:
        self.size = rank_and_size()[1]
        self.buckets = list(cut(parameters[::-1], most))
        self._missing: list[int] = []
        self._sent: list[Sent | None] = []
        if self.size > 1:
            for number, bucket in enumerate(self.buckets):
                for parameter in bucket:
                    parameter.register_post_accumulate_grad_hook(lambda _, number=number: self._arrived(number))

    def expect(self) -> None:
        """Send gradients from now on: the next backward pass is the last of the step."""
        self._missing = [len(bucket) for bucket in self.buckets]

    def average(self) -> None:
        """Replace all gradients by their means over the ranks; those that no backward pass has reached stay absent."""
        if self.size == 1:
            return
        while len(self._sent) < len(self.buckets):
            self._send()
        for gradients, values, work in filter(None, self._sent):
            work.wait()
            values.div_(self.size)
            parts = values.split([gradient.numel() for gradient in gradients])
            copy_each(gradients, [part.view_as(own) for part, own in zip(parts, gradients, strict=True)])
        self._sent, self._missing = [], []

    def _arrived(self, number: int) -> None:
        """Note a gradient of a bucket; send what is whole."""
        if self._missing:
            self._missing[number] -= 1
            while len(self._sent) < len(self.buckets) and not self._missing[len(self._sent)]:
                self._send()

    def _send(self) -> None:
        """Begin to add the gradients of the next bucket over the ranks."""
        gradients = [one.grad for one in self.buckets[len(self._sent)] if one.grad is not None]
        if not gradients:  # of frozen weights, on every rank
            self._sent.append(None)
            return
        values = torch.cat([gradient.reshape(-1) for gradient in gradients])
        self._sent.append(Sent(gradients, values, dist.all_reduce(values, async_op=True)))


def cut(parameters: Sequence[nn.Parameter], most: int) -> Iterator[list[nn.Parameter]]:
    """Yield parameters in buckets of `most` values or a little more, the last one with what is left."""
    bucket: list[nn.Parameter] = []
    for parameter in parameters:
        bucket.append(parameter)
        if sum(one.numel() for one in bucket) >= most:
            yield bucket
            bucket = []
    if bucket:
        yield bucket
