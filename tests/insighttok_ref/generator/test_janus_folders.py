"""A generator in `transformers`' Janus, without our code, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoTokenizer, JanusForConditionalGeneration, JanusProcessor

from insighttok_ref.generator.checkpoints import IMAGES, LoadedGenerator, read_generator, save_generator
from insighttok_ref.generator.conversion import BESIDE, convert
from insighttok_ref.generator.model import InsightAR
from insighttok_ref.generator.prompts import PromptFormat
from insighttok_ref.generator.sampling import Sampling, sample
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from regionloss.errors import InputError, WeightsError
from tests.insighttok_ref.generator.test_checkpoints import generator as odd_generator
from tests.insighttok_ref.generator.tiny import CODES, DIM, SHAPE, image_ids, janus

CAPTIONS = ["a red door", "bold, clear text that reads: HÉLLO"]


def generator(tied: bool = False) -> LoadedGenerator:
    """Return one whose tokenizer has the layout of Janus's VQ model, with all weights far from zero."""
    torch.manual_seed(0)
    layout = {"ch": 32, "ch_mult": (1, 2), "num_res_blocks": 1, "attn_resolutions": (8,), "resolution": 16}
    images = InsightTokenizer(**layout, z_channels=16, codebook_size=CODES, code_dim=DIM, norm_groups=32)
    images.quantize.cluster_size.fill_(3)
    model = InsightAR.from_preset("tiny", images.codebook, **SHAPE, tie_word_embeddings=tied)
    for part in (model.adapter, model.head):
        for weight in part.parameters():
            torch.nn.init.normal_(weight, std=0.2)
    return LoadedGenerator(model.eval(), PromptFormat.of_bytes(), images.eval(), images.grid((8, 8)))


def saved_janus(folder: Path, half: bool = False, **options: object) -> JanusForConditionalGeneration:
    """Write a Janus as transformers does, with a tokenizer of bytes."""
    model, form = janus(), PromptFormat.of_bytes()
    for name, value in model.named_parameters():  # those that begin as zeros must be told apart, too
        torch.nn.init.normal_(value, std=0.1) if name.startswith(("model.vq", "model.vision")) else None
    model.to(torch.bfloat16 if half else torch.float32).save_pretrained(folder, **options)
    form.text.save(str(folder / "tokenizer.json"))
    names = {"bos_token": form.begin, "boi_token": {"content": form.start}, "pad_token": form.pad}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    return model


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for file in folder.glob("model*.safetensors"):
        found |= load_file(file)
    return found


def held(file: Path) -> object:
    """Return what a file holds; texts about tensors lie in any order in a file of safetensors."""
    if file.suffix != ".safetensors":
        return file.read_bytes()
    with safe_open(file, "pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        return opened.metadata(), {name: (value.dtype, value.numpy().tobytes()) for name, value in tensors.items()}


@pytest.mark.parametrize("tied", [False, True])
def test_transformers_draws_the_same_images_without_our_code(tmp_path: Path, tied: bool) -> None:
    mine = generator(tied)
    save_generator(tmp_path / "ar", mine)
    said = convert(tmp_path / "ar", "ours", "janus", tmp_path / "hf")
    assert said[0].startswith("ours: a generator of 0.")
    assert said[0].endswith("96 codes of length 8, 4 x 4 ids an image.")
    theirs, report = JanusForConditionalGeneration.from_pretrained(tmp_path / "hf", output_loading_info=True)
    assert not any(report.values()), report
    text, form = AutoTokenizer.from_pretrained(tmp_path / "hf"), mine.form
    told = [form.begin + form.template.replace("{caption}", caption) + form.start for caption in CAPTIONS]
    read = text(told, return_tensors="pt", padding=True, add_special_tokens=False)
    prompts = form.encode(CAPTIONS)
    assert read.input_ids.equal(prompts.ids)
    drawn = theirs.generate(
        input_ids=read.input_ids,
        attention_mask=read.attention_mask,
        generation_mode="image",
        do_sample=False,
        top_k=None,
        guidance_scale=5.0,
    )
    wanted = sample(mine.model, form, prompts, mine.tokens, torch.arange(2), Sampling(5.0, 0.0, decoder="plain")).ids
    assert len(wanted.unique()) > 8
    assert drawn.equal(wanted)
    ids = image_ids(2)
    with torch.no_grad():
        seen = torch.cat(
            [theirs.get_input_embeddings()(prompts.ids), theirs.prepare_embeddings_for_image_generation(ids[:, :-1])], 1
        )
        mask = torch.arange(seen.shape[1]) >= prompts.pads[:, None]
        positions = (mask.long().cumsum(1) - 1).clamp(min=0)
        states = theirs.model.language_model(inputs_embeds=seen, attention_mask=mask.long(), position_ids=positions)
        logits = theirs.model.generation_head(states.last_hidden_state[:, prompts.ids.shape[1] - 1 :])
        torch.testing.assert_close(logits, mine.model(prompts, ids), rtol=0, atol=1e-5)
        images = theirs.decode_image_tokens(ids).permute(0, 3, 1, 2)
        torch.testing.assert_close(images, mine.tokenizer.decode(ids, mine.grid), rtol=0, atol=1e-5)


def test_a_processor_of_transformers_reads_captions_and_gives_images(tmp_path: Path) -> None:
    mine = generator()
    save_generator(tmp_path / "ar", mine)
    convert(tmp_path / "ar", "ours", "janus", tmp_path / "hf")
    processor = JanusProcessor.from_pretrained(tmp_path / "hf")
    told = [mine.form.begin + mine.form.template.replace("{caption}", caption) for caption in CAPTIONS]
    read = processor(text=told, generation_mode="image", padding=True, add_special_tokens=False, return_tensors="pt")
    assert read.input_ids.equal(mine.form.encode(CAPTIONS).ids)
    assert processor.num_image_tokens == mine.tokens
    assert processor.tokenizer.convert_tokens_to_ids(processor.image_token) >= mine.form.rows
    decoded = torch.rand(2, 8, 8, 3) * 2 - 1  # as JanusForConditionalGeneration.decode_image_tokens returns
    found = processor.postprocess(list(decoded.permute(0, 3, 1, 2)), return_tensors="pt")["pixel_values"]
    wanted = ((decoded + 1) * 127.5).permute(0, 3, 1, 2)
    torch.testing.assert_close(found.float(), wanted, rtol=0, atol=1.01)


@pytest.mark.parametrize("fits", [True, False])
def test_a_folder_of_ours_comes_back_bit_for_bit(tmp_path: Path, fits: bool) -> None:
    save_generator(tmp_path / "ar", generator() if fits else odd_generator())
    said = convert(tmp_path / "ar", "ours", "janus", tmp_path / "hf")
    lacking = "Not in it: weights of a VQ model, since the tokenizer cannot be one: its norms have 4 groups, not 32."
    assert any(line.startswith(lacking) for line in said) != fits
    assert any("zeros" in line for line in said)
    convert(tmp_path / "hf" / "model.safetensors", "janus", "ours", tmp_path / "back")
    before, after = ({path.name: held(path) for path in (tmp_path / name).iterdir()} for name in ("ar", "back"))
    assert before == after


def test_a_vq_model_that_a_tokenizer_cannot_be_is_told_missing(tmp_path: Path) -> None:
    save_generator(tmp_path / "ar", odd_generator())
    convert(tmp_path / "ar", "ours", "janus", tmp_path / "hf")
    _, report = JanusForConditionalGeneration.from_pretrained(tmp_path / "hf", output_loading_info=True)
    assert report["missing_keys"]
    assert all(name.startswith("model.vqmodel.") for name in report["missing_keys"])


@pytest.mark.parametrize("options", [{"half": True}, {"max_shard_size": "50KB"}])
def test_a_janus_comes_back_whole_and_is_drawn_the_same(tmp_path: Path, options: dict[str, object]) -> None:
    theirs = saved_janus(tmp_path / "hf", **options)
    assert (len(list((tmp_path / "hf").glob("model-*"))) > 3) == ("max_shard_size" in options)
    said = convert(tmp_path / "hf", "janus", "ours", tmp_path / "ar")
    assert any(line.startswith("Its VQ model becomes the tokenizer") for line in said)
    assert (tmp_path / "ar" / BESIDE).is_file()
    convert(tmp_path / "ar", "ours", "janus", tmp_path / "back")
    before, after = weights(tmp_path / "hf"), weights(tmp_path / "back")
    assert before.keys() == after.keys()
    assert {name: one.dtype for name, one in before.items()} == {name: one.dtype for name, one in after.items()}
    assert all(before[name].equal(value) for name, value in after.items())
    first, second = (JanusForConditionalGeneration.from_pretrained(tmp_path / name) for name in ("hf", "back"))
    for part in ("vision_config", "vq_config"):
        assert getattr(first.config, part).to_dict() == getattr(second.config, part).to_dict()
    mine, ids = read_generator(tmp_path / "ar"), image_ids(2)
    with torch.no_grad():
        wanted = theirs.float().decode_image_tokens(ids).permute(0, 3, 1, 2)
        torch.testing.assert_close(mine.tokenizer.decode(ids, mine.grid), wanted, rtol=0, atol=1e-5)


def test_a_vq_model_that_was_changed_is_read_and_not_the_file_beside_it(tmp_path: Path) -> None:
    save_generator(tmp_path / "ar", generator())
    convert(tmp_path / "ar", "ours", "janus", tmp_path / "hf")
    theirs = JanusForConditionalGeneration.from_pretrained(tmp_path / "hf")
    with torch.no_grad():
        theirs.model.vqmodel.decoder.conv_out.bias += 1
    theirs.save_pretrained(tmp_path / "hf")
    said = convert(tmp_path / "hf", "janus", "ours", tmp_path / "back")
    assert any("becomes the tokenizer" in line for line in said)
    assert load_file(tmp_path / "back" / IMAGES)["decoder.conv_out.bias"].equal(
        theirs.model.vqmodel.decoder.conv_out.bias
    )


def test_troubles_are_sentences(tmp_path: Path) -> None:
    folder = tmp_path / "hf"
    saved_janus(folder, max_shard_size="50KB")
    shard = sorted(folder.glob("model-*"))[1]
    contents = shard.read_bytes()

    def refused(sentence: str, path: Path = folder, source: str = "janus", goal: str = "ours") -> None:
        with pytest.raises((WeightsError, InputError), match=sentence):
            convert(path, source, goal, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    refused(
        r"none: expected a Janus of transformers, got no file config\.json there\. Check the path", tmp_path / "none"
    )
    refused(r"--from: expected ours or janus, the kinds of generators, got 'taming'", source="taming")
    refused(r"--to: expected ours or janus, the kinds of generators, got 'official'", goal="official")
    shard.write_bytes(contents[:-9])
    refused(rf"{shard.name}: cannot be read as a Janus of transformers")
    shard.unlink()
    refused(rf"hf: expected \d+ files of weights, got no {shard.name} there")
    (folder / "model.safetensors.index.json").unlink()
    refused(rf"hf: expected \d+ files of weights, got no {shard.name} there")
    shard.write_bytes(sorted(folder.glob("model-*"))[0].read_bytes())
    refused(r"hf, 'model\.vqmodel\.': expected the \d+ tensors of such a tokenizer, got a file without")
    for file in folder.glob("model-*"):
        file.unlink()
    refused(r"hf: expected a Janus of transformers: model\.safetensors, or shards of it, got none")
    (folder / "config.json").write_text('{"model_type": "multi_modality"}')
    refused(r"config\.json: expected the model_type 'janus', got 'multi_modality'\. Convert DeepSeek's own layout with")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    save_generator(tmp_path / "ar", generator())
    with pytest.raises(InputError, match=r"--out: expected a new or an empty folder, got '.*full', where something is"):
        convert(tmp_path / "ar", "ours", "janus", tmp_path / "full")
    flat = generator()
    save_generator(tmp_path / "flat", LoadedGenerator(flat.model, flat.form, flat.tokenizer, (2, 8)))
    refused(r"--to janus: expected as many rows of ids as columns, got 2 x 8", tmp_path / "flat", "ours", "janus")
