"""A run of the trainer `insighttok`: tokenizers, from one part to the next."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import torch

from insighttok_ref.tokenizers.base import Tokenizer
from insighttok_ref.tokenizers.build import build_tokenizer
from insighttok_ref.tokenizers.insighttok.checkpoints import load_tokenizer
from insighttok_ref.trainers.tokenizer.balance import gradient_norms, weights_from_norms
from insighttok_ref.trainers.tokenizer.loop import PartState
from insighttok_ref.trainers.tokenizer.part_state import PartFolder, matching, start_from
from insighttok_ref.trainers.tokenizer.plan import Part
from insighttok_ref.trainers.tokenizer.session import Session
from insighttok_ref.trainers.tokenizer.trainer import InsightTok
from insighttok_ref.training.metrics_log import ROOM
from regionloss.data.shards import write_whole
from regionloss.disk import to_disk
from regionloss.errors import WeightsError, expected
from regionloss.losses import told

BALANCE_BATCHES = 4
WHERE = "A source of images takes them from the folder that its 'regions' names."


class TokenizerSession(Session):
    """Trains the phases and arms of a tokenizer; arguments as for `Session`."""

    trainer: InsightTok

    def check_start(self) -> None:
        """See that the tokenizer to start from has the recipe's layout."""
        if self.trainer.start_from is not None and not self.saved:
            with torch.device("meta"):
                matching(build_tokenizer(self.trainer.model), self.trainer.start_from)

    def build(self, part: Part, going_on: bool) -> Tokenizer:
        """Return the part's tokenizer, with the weights of the part before or of the file to start from."""
        model = build_tokenizer(self.trainer.model)
        # What it started from may be gone by now, and is not needed.
        first = None if going_on else self.trainer.start_from
        if (start := PartFolder(self.folder, part.starts_from).tokenizer if part.starts_from else first) is not None:
            start_from(model, start)
        model.to(self.ranks.device).set_trainable(part.phase.train)
        return model

    def ready(self, state: PartState) -> None:
        """Log how strongly each term pulls at the start: who changes the data sees which weights would be equal."""
        part = state.part
        if not state.step:
            self.begin_model(state)
        if state.step or not part.terms or not state.model.last_layer.requires_grad:
            return
        batches = self.batches(part, state.share).starting_at(state.first_micro_batch)
        norms = gradient_norms(state, islice(batches, BALANCE_BATCHES))
        if not self.ranks.is_first:
            return
        self.metrics.write({"part": part.name, "step": 0, **{f"gradient_at_start/{k}": v for k, v in norms.items()}})
        for name, weight in weights_from_norms(norms).items():
            used = part.phase.term_weights.get(name, self.terms[name].weight)
            said = f"has weight {told(used)}; equal gradients at {weight:.3g}"
            if used and not norms[name]:
                kind = self.terms[name].kind
                said = f"met no region of kind '{kind}' in {BALANCE_BATCHES} batches. Should there be some? {WHERE}"
            self.progress.say(f"{part.name}: term '{name}' {said}")

    @torch.no_grad()
    def begin_model(self, state: PartState) -> None:
        """Show the model the images of the whole first step, where it wants to see them before it begins."""
        device, share = state.model.last_layer.device, state.share
        batches = self.batches(state.part, share).starting_at(state.first_micro_batch)
        state.model.eval()
        with state.eager(), state.autocast():
            state.model.begin(batch.to(device).images for batch in islice(batches, share.accumulation))
        state.model.train()

    def keep(self, state: PartState) -> None:
        """Write the part's folder: its tokenizer, and what the next part starts from."""
        if not self.ranks.is_first:
            return
        folder = PartFolder(self.folder, state.part.name)
        with to_disk(folder.path, ROOM):
            folder.write(state)
            text = json.dumps(self.resolved, indent=1) + "\n"
            write_whole(str(folder.path / "resolved.json"), text.encode())

    def tokenizer(self, part: str) -> Tokenizer:
        """Return the tokenizer that a finished part gave."""
        return load_tokenizer(PartFolder(self.folder, part).tokenizer).to(self.ranks.device)

    def export(self, path: Path) -> None:
        """Write the run's tokenizer, that of its last part.

        Raises:
            WeightsError: What the part has left is not there.
        """
        last = PartFolder(self.folder, self.parts[-1].name).tokenizer
        if not last.is_file():
            advice = "Bring it back from a copy of the run, or begin anew."
            raise WeightsError(expected(str(last), "the tokenizer of a finished part", "no file", advice))
        write_whole(str(path), last.read_bytes())
