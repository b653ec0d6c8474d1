"""Publishing regions: blocks of code, steps of a module, threads, tasks, copies."""

from __future__ import annotations

import asyncio
import copy
import inspect
import io
import pickle
import threading
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regionloss as rl
from regionloss.hosts.published import NOTHING, published
from tests.helpers import images, text_regions
from tests.hosts.doubles import Taming
from tests.hosts.test_known_hosts import make_terms
from tests.patience import patience


def test_blocks_nest_and_end_with_an_error() -> None:
    first, second = {"text": text_regions()}, text_regions()
    assert published() is NOTHING
    with rl.use_regions(first):
        with suppress(ZeroDivisionError), rl.use_regions(second):
            assert published() is second
            1 / 0  # noqa: B018
        assert published() is first
        with rl.use_regions(None):
            assert published() is None
        assert published() is first
    assert published() is NOTHING


@pytest.mark.parametrize("wrong", [[text_regions()], {"text": torch.zeros(1, 4)}, torch.zeros(1, 4)])
def test_other_things_than_regions_are_a_sentence(wrong: Any) -> None:
    with pytest.raises(rl.RegionLossError, match="use_regions: expected Regions by kind"), rl.use_regions(wrong):
        pass


def test_threads_and_tasks_have_their_own() -> None:
    ready = threading.Barrier(2)
    seen: dict[str, object] = {}

    def work(name: str, regions: rl.Regions) -> None:
        with rl.use_regions(regions):
            ready.wait(timeout=patience(1))
            seen[name] = published() is regions

    threads = [threading.Thread(target=work, args=(str(i), text_regions())) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"0": True, "1": True}

    async def task(regions: rl.Regions) -> bool:
        with rl.use_regions(regions):
            await asyncio.sleep(0)
            return published() is regions

    async def both() -> list[bool]:
        return await asyncio.gather(task(text_regions()), task(text_regions()))

    assert asyncio.run(both()) == [True, True]


def test_one_block_serves_every_call_of_a_step_and_micro_batches_have_their_own() -> None:
    """Gradients of two micro-batches, each with its regions, add up to twice those of the mean over both."""
    target, source = (images(6, dtype=torch.float32, seed=seed) for seed in (0, 1))
    regions = [text_regions(num_images=3), rl.Regions.empty("text", (40, 48), 3)]
    host = Plain()
    wrapped = rl.wrap(host, rl.HostSpec("images", "decoded"), make_terms())
    weight = torch.tensor(0.9, requires_grad=True)
    for part, own in enumerate(regions):
        rows = slice(3 * part, 3 * part + 3)
        with rl.use_regions(own):
            assert torch.equal(*[wrapped(target[rows], weight * source[rows]) for _ in range(2)])
            wrapped(target[rows], weight * source[rows]).backward()
    joint = rl.Regions("text", regions[0].boxes, regions[0].image_index, (40, 48), 6)
    other = torch.tensor(0.9, requires_grad=True)
    with rl.use_regions(joint):
        (2 * wrapped(target, other * source)).backward()
    torch.testing.assert_close(weight.grad, other.grad)


class Plain(nn.Module):
    def forward(self, images: Tensor, decoded: Tensor) -> Tensor:
        return (images - decoded).abs().mean()


class Model(nn.Module):
    """A Lightning module's steps, as taming-transformers and SEED-Voken write them, without Lightning."""

    def __init__(self, wrapped: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.decoder = nn.Conv2d(3, 3, 1)
        self.loss = Taming().eval()
        if wrapped:
            self.loss = rl.wrap(self.loss, "taming", make_terms())

    def training_step(self, batch: Any, batch_idx: int, optimizer_idx: int = 0) -> Tensor:
        """Return the loss of one turn."""
        return self.turn(batch, optimizer_idx)

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.turn(batch, 0)

    def turn(self, batch: Any, optimizer_idx: int) -> Tensor:
        x = batch["image"] if isinstance(batch, dict) else batch[0] if isinstance(batch, tuple) else batch.image
        y, last = self.decoder(x), self.decoder.weight
        return self.loss(torch.tensor(0.1), x, y, optimizer_idx, 5, last_layer=last, split="train")[0]


def first_of_last(batch: Any) -> rl.Regions:
    return batch[-1]["regions"]


def batch(form: str) -> Any:
    image, regions = images(3, dtype=torch.float32), {"text": text_regions()}
    forms = {
        "dict": {"image": image, "regions": regions},
        "other key": {"image": image, "words": regions["text"]},
        "tuple": (image, torch.zeros(3), regions),
        "object": SimpleNamespace(image=image, regions=regions),
        "function": (image, {"regions": regions}),
    }
    return forms[form]


FORMS = {"dict": "regions", "other key": "words", "tuple": 2, "object": "regions", "function": first_of_last}


@pytest.mark.parametrize(("form", "key"), FORMS.items())
def test_a_step_publishes_what_its_batch_holds(form: str, key: Any) -> None:
    model, plain = Model(), Model()
    assert rl.bind_batch(model, key=key) is model
    with rl.use_regions(text_regions()):
        wanted = plain.training_step(batch(form), 0)
    assert torch.equal(model.training_step(batch(form), 0, optimizer_idx=0), wanted)
    assert torch.equal(model.training_step(batch=batch(form), batch_idx=0), wanted)
    assert torch.equal(model.validation_step(batch(form), 0), wanted)
    assert not torch.equal(plain.training_step(batch(form), 0), wanted)
    assert published() is NOTHING


def test_a_bound_model_is_still_of_its_class() -> None:
    model, plain = Model(), Model()
    rl.bind_batch(model, "regions")
    assert isinstance(model, Model)
    assert type(model).__name__ == "Model"
    assert list(model.state_dict()) == list(plain.state_dict())
    # As Lightning asks which steps a module has, and what they take:
    assert model.training_step.__wrapped__ is Model.training_step
    assert inspect.signature(model.training_step) == inspect.signature(plain.training_step)
    rl.bind_batch(model, "words")  # again: the last key counts, and nothing is bound twice
    assert torch.equal(model.training_step(batch("other key"), 0), rl.bind_batch(plain).training_step(batch("dict"), 0))
    assert type(model).__mro__.count(Model) == 1


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "save"])
def test_a_bound_model_survives_copies_and_files(how: str) -> None:
    model = rl.bind_batch(Model(), key="words")
    if how == "deepcopy":
        other = copy.deepcopy(model)
    elif how == "pickle":
        other = pickle.loads(pickle.dumps(model))
    else:
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        other = torch.load(file, weights_only=False)
    wanted = model.training_step(batch("other key"), 0)
    assert torch.equal(other.training_step(batch("other key"), 0), wanted)
    with torch.no_grad():
        other.decoder.weight.zero_()
    assert torch.equal(model.training_step(batch("other key"), 0), wanted)  # the copy has a decoder of its own
    assert not torch.equal(other.training_step(batch("other key"), 0), wanted)


def test_a_batch_without_regions_is_a_sentence() -> None:
    model = rl.bind_batch(Model(), key="region")
    with pytest.raises(rl.RegionLossError, match="Did you mean 'regions'"):
        model.training_step(batch("dict"), 0)
    with pytest.raises(rl.RegionLossError, match=r"regions at 7 of the batch, got a tuple of 3"):
        rl.bind_batch(model, key=7).training_step(batch("tuple"), 0)
    with pytest.raises(rl.RegionLossError, match=r"regions at 'regions' of the batch, got Tensor"):
        rl.bind_batch(model).training_step(torch.zeros(1), 0)
    # Loaders of validation images mostly have none.
    image, plain = batch("dict")["image"], Model(wrapped=False)
    found = rl.bind_batch(Model()).validation_step({"image": image}, 0)
    assert torch.equal(found, plain.validation_step({"image": image}, 0))


def test_a_model_without_steps_is_a_sentence() -> None:
    with pytest.raises(rl.RegionLossError, match="training_step or validation_step"):
        rl.bind_batch(Plain())
    patched = Model()
    patched.training_step = patched.training_step
    with pytest.raises(rl.RegionLossError, match="Bind the model first"):
        rl.bind_batch(patched)


def test_without_a_host_the_terms_are_one_summand() -> None:
    target, reconstruction = images(3, dtype=torch.float32), images(3, dtype=torch.float32, seed=1).requires_grad_()
    terms = make_terms()
    loss = (target - reconstruction).abs().mean() + terms(reconstruction, target, text_regions()).total
    with rl.use_regions(text_regions()):
        wrapped = rl.wrap(Plain(), rl.HostSpec("images", "decoded"), terms)(target, reconstruction)
    assert torch.equal(loss, wrapped)
    assert loss > (target - reconstruction).abs().mean()


def test_a_loader_of_somebody_elses_takes_regions_along() -> None:
    image, whole = images(3, dtype=torch.float32), text_regions(3)
    own = [{"text": whole.of_image(i)} for i in range(3)]
    wanted, _ = rl.collate_regions(own)
    mappings = [{"image": image[i], "label": i, "regions": own[i]} for i in range(3)]
    found = rl.RegionCollate()(mappings)
    assert list(found) == ["image", "label", "regions"]
    assert torch.equal(found["image"], image)
    assert torch.equal(found["regions"]["text"].boxes, wanted["text"].boxes)
    assert found["regions"]["text"].num_images == 3
    pairs, regions, labels = rl.RegionCollate(key=1)([(image[i], own[i]["text"], i) for i in range(3)])
    assert torch.equal(pairs, image)
    assert labels.tolist() == [0, 1, 2]
    assert torch.equal(regions["text"].image_index, wanted["text"].image_index)
    *_, last = rl.RegionCollate(lambda rest: tuple(zip(*rest, strict=True)), -1)([(1, own[0]), (2, None), (3, own[2])])
    assert last["text"].annotated.tolist() == [True, False, True]
    assert pickle.loads(pickle.dumps(rl.RegionCollate(key=2))).key == 2
    with pytest.raises(rl.RegionLossError, match="a tuple with position 2"):
        rl.RegionCollate(key=2)([(image[0], own[0])])
