"""A codebook that learns by exponential moving averages, with restart of dead codes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from insighttok_ref.quantizers.base import Codebook, Quantizer, check_choice
from insighttok_ref.quantizers.nearest import full_precision, nearest
from insighttok_ref.quantizers.token_statistics import Gathered, perplexity
from regionloss import runs as ranks
from regionloss.errors import InputError, expected

USAGE_WINDOW = 65536
# `auto` is the published threshold of 1 at the published 8 tokens a code and update.
PUBLISHED_TOKENS_PER_CODE = 8.0


class EMAQuantizer(Quantizer):
    """Nearest code by squared distance; codes follow the mean of their tokens.

    With `l2_normalize` (published code) latents and codes are unit vectors: z <- z / |z|, e <- e / |e|.
    loss = beta * mean over all elements of (sg(e) - z)^2; the output is z + sg(e - z).
    An update over all tokens since the last one, on all ranks, with n_k their number and s_k their sum:
    N_k <- decay N_k + (1 - decay) n_k, S_k <- decay S_k + (1 - decay) s_k, e_k = S_k / N_k.

    The published behaviour, at any batch, is `restart_threshold=1.0` with the other defaults.

    Args:
        codebook_size: Number of codes K.
        code_dim: Length d of a code.
        beta: Weight of the commitment, already inside the returned loss.
        decay: Decay of the moving averages.
        l2_normalize: False compares plain vectors, as the paper writes it.
        restart: What becomes of codes with N_k below the threshold: tokens drawn at random ("random"), the tokens
            farthest from their code ("dist"), or nothing ("off"). Drawn once, the same on all ranks.
        restart_threshold: "auto" is min(1, tokens per code and update / 8), which is 1 at the paper's batch; the
            published code has 1.0, which with small batches redraws most codes at every update.
        reset_restarted: Whether to restart N_k = 1 and S_k, too; the published code leaves both, so that a dead code is
            redrawn at every update until it attracts a threshold's worth of tokens.
        init: "uniform" in [-1/K, 1/K] (published code), or "data": tokens of the whole first step (of the first
            training forward where nobody calls `begin`).
        track_usage: Whether to keep the last 65536 ids (a state-dict entry of published checkpoints).

    Source: InsightTok, Eq. 13-14, Appendix B; constants of the published code.
    """

    statistics = ("cluster_size", "embed_avg", "codebook_used")
    per_rank = ("codebook_used",)
    cluster_size: Tensor
    embed_avg: Tensor
    codebook_used: Tensor

    def __init__(
        self,
        codebook_size: int = 16384,
        code_dim: int = 256,
        *,
        beta: float = 0.02,
        decay: float = 0.99,
        l2_normalize: bool = True,
        restart: Literal["random", "dist", "off"] = "random",
        restart_threshold: float | Literal["auto"] = "auto",
        reset_restarted: bool = False,
        init: Literal["uniform", "data"] = "uniform",
        track_usage: bool = True,
    ) -> None:
        super().__init__(codebook_size, code_dim)
        check_choice("restart", restart, ("random", "dist", "off"))
        check_choice("init", init, ("uniform", "data"))
        if isinstance(restart_threshold, str):
            check_choice("restart_threshold", restart_threshold, ("auto",))
        self.beta, self.decay = beta, decay
        self.restart, self.restart_threshold = restart, restart_threshold
        self.reset_restarted, self.track_usage, self.l2_normalize = reset_restarted, track_usage, l2_normalize
        self._awaits_data = init == "data"
        codes = torch.empty(codebook_size, code_dim).uniform_(-1 / codebook_size, 1 / codebook_size)
        codes = self._on_sphere(codes)
        self.embedding = Codebook(codes)
        self.register_buffer("cluster_size", torch.ones(codebook_size))
        self.register_buffer("embed_avg", codes.clone())
        if track_usage:
            self.register_buffer("codebook_used", torch.zeros(USAGE_WINDOW))
        self._warned = False
        self._jitter = 0.01 / math.sqrt(code_dim)
        self._gathered: Gathered | None = None
        self._last_ids: Tensor | None = None
        self._report: dict[str, Tensor] = {}

    @property
    def codebook(self) -> Tensor:
        """The codes (K, d) as the decoder sees them: of unit length with `l2_normalize`."""
        return self._on_sphere(self.embedding.weight)

    @property
    def layout(self) -> Mapping[str, Any]:
        """Whether codes and latents are compared on the sphere."""
        return {"l2_normalize": self.l2_normalize}

    def described(self) -> str:
        """Return "normalised" or "plain"."""
        return "normalised" if self.l2_normalize else "plain"

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise latents.

        Args:
            z: (B, d, h, w), any h and w; half precision is searched in float32.

        Returns:
            z_q (B, d, h, w) with straight-through gradients, the commitment loss (0-d), ids (B, h * w) int64.
        """
        if z.ndim != 4 or z.shape[1] != self.code_dim:
            raise InputError(expected("z", f"a shape (B, {self.code_dim}, h, w)", str(tuple(z.shape))))
        batch, _, height, width = z.shape
        learning = self.training and not self.frozen
        with full_precision(z.device):
            tokens = self._tokens(z)
            if learning and self._awaits_data:
                self._init_from(tokens.detach())
            codes = self.codebook.to(tokens.dtype)
            ids = nearest(tokens.detach(), codes)
            chosen = codes[ids]
            if learning:
                self._learn_from(tokens.detach(), chosen, ids)
            loss = self.beta * F.mse_loss(tokens, chosen)
            quantized = tokens + (chosen - tokens).detach()
        self._last_ids = ids
        z_q = quantized.to(z.dtype).view(batch, height, width, -1).permute(0, 3, 1, 2)
        return z_q, loss, ids.view(batch, -1)

    @torch.no_grad()
    def assign(self, z: Tensor) -> Tensor:
        """Return the ids (B, h * w) of latents (B, d, h, w); nothing is learnt."""
        with full_precision(z.device):
            tokens = self._tokens(z)
            return nearest(tokens, self.codebook.to(tokens.dtype)).view(z.shape[0], -1)

    @torch.no_grad()
    def begin(self, latents: Iterable[Tensor]) -> None:
        """Let codes that await data begin as tokens of a whole step, which all ranks give together."""
        if self._awaits_data and not self.frozen:
            self._init_from(torch.cat([self._tokens(z) for z in latents]))

    @torch.no_grad()
    def update(self) -> None:
        """Move the codes by the forwards since the last update; once an optimizer step, on all ranks.

        Does nothing while `frozen`.

        Raises:
            InputError: no rank has seen a training forward since the last update.
        """
        if self.frozen:
            return
        gathered = self._since_update()
        pool, distances = gathered.pool().to(self.cluster_size.dtype), gathered.distances()
        seen, pooled = ranks.counts_by_rank(gathered.seen, len(pool))
        if not sum(seen):
            raise InputError(
                "quantizer.update(): expected a training forward since the last update, got none. "
                "Call it once after each optimizer step, with the quantizer in train() mode."
            )
        self._average(ranks.sum_over_ranks(gathered.sums))
        del gathered
        self._gathered = self._last_ids = None
        codes = self._means()
        if self.restart != "off":
            dead = self.cluster_size < self._threshold(sum(seen) / self.codebook_size)
            far = self.restart == "dist"
            drawn = self._farthest(pool, distances, pooled, dead) if far else self._sampled(pool, pooled)
            self._replace(codes, drawn, dead)
        self._store(codes)

    def stats(self) -> dict[str, Tensor]:
        """Return what is known as 0-d tensors: perplexity, usage, share of dead codes.

        Right after an update they are those of all its tokens, on all ranks, and `usage` that of all ranks' windows;
        after a forward, those of this rank's last forward and window.
        """
        found = dict(self._report)
        if self._last_ids is not None:
            ones = torch.ones_like(self._last_ids, dtype=torch.float32)
            counts = ones.new_zeros(self.codebook_size).index_add_(0, self._last_ids, ones)
            found["perplexity"] = perplexity(counts)
            if self.track_usage:
                found["usage"] = self._in_window().mean()
        return found

    def draw_permutation(self, count: int) -> Tensor:
        """Draw the order in which tokens replace dead codes; the first rank's is used on all."""
        return torch.randperm(count, device=self.cluster_size.device)

    def draw_noise(self) -> Tensor:
        """Draw standard normal noise (K, d); the first rank's is used on all."""
        return torch.randn(self.codebook_size, self.code_dim, device=self.cluster_size.device)

    def _on_sphere(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors, dim=-1) if self.l2_normalize else vectors

    def _tokens(self, z: Tensor) -> Tensor:
        """Return what is compared with the codes (B * h * w, d), in full precision."""
        flat = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])
        return self._on_sphere(flat if flat.dtype == torch.float64 else flat.float())

    def _since_update(self) -> Gathered:
        if self._gathered is None:
            device = self.cluster_size.device
            self._gathered = Gathered(self.codebook_size, self.code_dim, self.restart, device)
        return self._gathered

    @torch.no_grad()
    def _learn_from(self, tokens: Tensor, chosen: Tensor, ids: Tensor) -> None:
        self._since_update().add(tokens, chosen, ids)
        if self.track_usage:
            recent = ids[-USAGE_WINDOW:].to(self.codebook_used.dtype)
            self.codebook_used.copy_(torch.cat([self.codebook_used[len(recent) :], recent]))

    def _in_window(self) -> Tensor:
        """Return 1 for each code among the last ids of this rank, 0 for the others (K,)."""
        return torch.zeros_like(self.cluster_size).scatter_(0, self.codebook_used.long(), 1.0)

    def _average(self, totals: Tensor) -> None:
        """Move the averages by the sums (K, d) and numbers (last column) of all ranks' tokens."""
        counts = totals[:, -1].to(self.cluster_size.dtype)
        self.cluster_size.mul_(self.decay).add_(counts, alpha=1 - self.decay)
        self.embed_avg.mul_(self.decay).add_(totals[:, :-1].to(self.embed_avg.dtype), alpha=1 - self.decay)
        self._report = {"perplexity": perplexity(counts)}
        if self.track_usage:
            self._report["usage"] = (ranks.sum_over_ranks(self._in_window()) > 0).float().mean()

    def _means(self) -> Tensor:
        # A code that has decayed to nothing has no mean: it keeps its place instead of becoming 0 / 0.
        tiny = (self.cluster_size < 1e-20)[:, None]
        return torch.where(tiny, self.embedding.weight, self.embed_avg / self.cluster_size.clamp_min(1e-20)[:, None])

    def _replace(self, codes: Tensor, drawn: Tensor, dead: Tensor) -> None:
        """Put what was drawn (K, d) in the place of dead codes."""
        if self.reset_restarted:
            drawn = self._on_sphere(drawn)
            self.cluster_size.masked_fill_(dead, 1.0)
            torch.where(dead[:, None], drawn, self.embed_avg, out=self.embed_avg)
        torch.where(dead[:, None], drawn, codes, out=codes)
        self._report["dead_codes"] = dead.float().mean()

    def _store(self, codes: Tensor) -> None:
        if self.l2_normalize:
            F.normalize(codes, dim=-1, out=self.embedding.weight)
        else:
            self.embedding.weight.copy_(codes)

    def _threshold(self, tokens_per_code: float) -> float:
        if tokens_per_code < 2 and not self._warned and ranks.rank_and_size()[0] == 0:
            self._warned = True
            warnings.warn(
                f"quantizer: {tokens_per_code:.2g} tokens per code and update; below 2 most codes starve. "
                "Use a larger batch, more accumulation, or a smaller codebook_size.",
                stacklevel=4,
            )
        if self.restart_threshold == "auto":
            return min(1.0, tokens_per_code / PUBLISHED_TOKENS_PER_CODE)
        return float(self.restart_threshold)

    def _sampled(self, pool: Tensor, counts: list[int]) -> Tensor:
        """Draw K tokens without replacement; fewer tokens than codes are repeated, with a little noise."""
        total = sum(counts)
        tiles = math.ceil(self.codebook_size / total)
        order = ranks.from_first_rank(self.draw_permutation(tiles * total)[: self.codebook_size])
        drawn = ranks.rows_at(pool, order % total, counts)
        return drawn if tiles == 1 else drawn.add_(ranks.from_first_rank(self.draw_noise()), alpha=self._jitter)

    def _farthest(self, pool: Tensor, distances: Tensor, counts: list[int], dead: Tensor) -> Tensor:
        """Give the tokens that lie farthest from their code, farthest first, to the dead codes, lowest id first."""
        order = ranks.joint(distances, counts).topk(min(self.codebook_size, sum(counts))).indices
        turn = (dead.cumsum(0) - 1).clamp_min(0)
        positions = ranks.from_first_rank(order[turn % len(order)])
        noise = ranks.from_first_rank(self.draw_noise())[turn]
        return ranks.rows_at(pool, positions, counts).add_(noise, alpha=self._jitter)

    @torch.no_grad()
    def _init_from(self, tokens: Tensor) -> None:
        self._awaits_data = False
        (counts,) = ranks.counts_by_rank(len(tokens))
        self._store(self._sampled(tokens.to(self.embedding.weight.dtype), counts))
        self.embed_avg.copy_(self.embedding.weight)
        self.cluster_size.fill_(1.0)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Loaded codes are never overwritten by `init="data"`."""
        super()._load_from_state_dict(*args, **kwargs)
        self._awaits_data = False
        self._gathered = self._last_ids = None
        self._report = {}
