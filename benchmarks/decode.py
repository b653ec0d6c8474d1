"""Drawing the ids of images: ms a token of each decoder, beside `transformers`' own generation on the same weights.

    python -m benchmarks.decode [--device cuda] [--preset 7B] [--dtype bfloat16] [--images 1] [--tokens 256]

All decoders draw with guidance (two rows an image) and top-k; `--backend ''` leaves out the compiled ones, which take
minutes to compile on a CPU. With one thread of a CPU it is the processor's time that is measured. The floor is what a
plain decoder would take if reading each weight once a token were all of its work: bytes of the weights that are read,
over the bandwidth of a copy. Weights are random, with logits of a chosen spread: ms a forward is what carries over to
a trained model, forwards are not.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from transformers import JanusConfig, JanusForConditionalGeneration, JanusVisionConfig, JanusVQVAEConfig

from benchmarks.region_terms import measure
from insighttok_ref.generator.decoders import DrawnIds
from insighttok_ref.generator.janus import from_janus, shape_of
from insighttok_ref.generator.model import InsightAR
from insighttok_ref.generator.presets import PRESETS
from insighttok_ref.generator.prompts import BEGIN, PAD, START, PromptFormat
from insighttok_ref.generator.sampling import Sampling, sample

CAPTION = "The image shows bold, clear text that reads: HELLO"
DECODERS = ("plain", "jacobi", "coupled", "grouped")
COMPILED = ("plain, compiled", "coupled, compiled")


def janus(options: argparse.Namespace, form: PromptFormat) -> JanusForConditionalGeneration:
    """Return a Janus with random weights; its other parts are as small as may be."""
    shape: dict[str, Any] = {**PRESETS[options.preset], "bos_token_id": form.id_of(BEGIN)}
    shape |= {name: value for name, value in options.shape.items() if value}
    shape["num_attention_heads"] = max(1, shape["hidden_size"] // options.head)
    width = shape["hidden_size"]
    vision = JanusVisionConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=4, projection_dim=width
    )
    vision.num_image_tokens = options.tokens
    codes = JanusVQVAEConfig(
        embed_dim=256,
        num_embeddings=options.codes,
        latent_channels=8,
        base_channels=32,
        channel_multiplier=[1, 1],
        num_res_blocks=1,
        projection_dim=width,
        image_token_embed_dim=width,
    )
    text = {"model_type": "llama", **shape}
    config = JanusConfig(text_config=text, vision_config=vision, vq_config=codes, tie_word_embeddings=False)
    torch.manual_seed(0)
    with torch.device(options.device):
        model = JanusForConditionalGeneration(config).to(getattr(torch, options.dtype)).eval()
    for weight in (model.model.generation_embeddings.weight, *model.model.generation_aligner.parameters()):
        torch.nn.init.normal_(weight, std=weight.shape[-1] ** -0.5)
    for part in (model.model.generation_head.proj_out, model.model.generation_head.vision_head):
        torch.nn.init.normal_(part.weight, std=options.spread**0.5 * 1.7 * width**-0.5)
    special = {"bos_token_id": form.id_of(BEGIN), "pad_token_id": form.id_of(PAD)}
    model.generation_config.update(**special)
    model.generation_config.generation_kwargs = {"boi_token_id": form.id_of(START)}
    return model


def ours(theirs: JanusForConditionalGeneration) -> InsightAR:
    """Return the same weights, in the same memory, as ours."""
    tensors, _ = from_janus(theirs.state_dict())
    model = InsightAR(**shape_of(theirs.config.to_dict(), tensors)).to(theirs.dtype)
    model.load_state_dict(tensors, assign=True)
    return model.to(theirs.device).eval()


def floor(model: InsightAR, device: str) -> float:
    """Return the seconds that it takes to read once what a forward reads of the weights."""
    parts = (model.language_model.model.layers, model.adapter, model.head)
    size = sum(weight.numel() * weight.element_size() for part in parts for weight in part.parameters())
    source = torch.ones(2**26 if device == "cpu" else 2**29, device=device)
    target = torch.empty_like(source)
    seconds = measure({"copy": partial(target.copy_, source)}, 5, device)["copy"]
    bandwidth = 2 * source.numel() * source.element_size() / min(seconds)
    print(f"weights {size / 1e9:.3f} GB a forward, copies {bandwidth / 1e9:.1f} GB/s")
    return size / bandwidth


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--preset", default="tiny", choices=PRESETS)
    parser.add_argument("--width", type=int, help="of the language model, instead of the preset's")
    parser.add_argument("--layers", type=int, help="of the language model, instead of the preset's")
    parser.add_argument("--head", type=int, default=64, help="width of an attention head")
    parser.add_argument("--codes", type=int, default=16384)
    parser.add_argument("--tokens", type=int, default=256, help="ids of an image")
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--window", type=int, default=16)
    parser.add_argument("--top-k", type=int, default=4096)
    parser.add_argument("--guidance", type=float, default=5.0)
    parser.add_argument("--spread", type=float, default=0.5, help="standard deviation of the logits, about")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--backend", default="inductor", help="what compiled steps are compiled with; empty leaves them out"
    )
    options = parser.parse_args(arguments)
    options.top_k = min(options.top_k, options.codes)
    middle = options.width and options.width * 11 // 4
    options.shape = {
        "hidden_size": options.width,
        "intermediate_size": middle,
        "num_hidden_layers": options.layers,
        "max_position_embeddings": max(1536, options.tokens + 256),
    }
    return options


def candidates(options: argparse.Namespace) -> tuple[dict[str, Callable[[], Any]], dict[str, DrawnIds], InsightAR]:
    """Return what is timed by name, what it has drawn, and our model."""
    form = PromptFormat.of_bytes()
    theirs = janus(options, form)
    model, drawn = ours(theirs), dict[str, DrawnIds]()
    prompts = form.encode([CAPTION]).repeated(options.images).to(torch.device(options.device))
    seeds = torch.arange(options.images, device=options.device)

    def by_transformers() -> None:
        asked = {"generation_mode": "image", "do_sample": True, "guidance_scale": options.guidance}
        theirs.generate(prompts.ids, attention_mask=torch.ones_like(prompts.ids), top_k=options.top_k, **asked)

    def by_us(name: str) -> None:
        decoder, _, compiled = name.partition(", ")
        backend = options.backend if compiled else None
        how = Sampling(options.guidance, 1.0, options.top_k, decoder, options.window, backend)
        drawn[name] = sample(model, form, prompts, options.tokens, seeds, how)

    rounds: dict[str, Callable[[], Any]] = {"transformers": by_transformers}
    rounds |= {name: partial(by_us, name) for name in (*DECODERS, *(COMPILED if options.backend else ()))}
    return rounds, drawn, model


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    start = time.perf_counter()
    rounds, drawn, model = candidates(options)
    count = sum(weight.numel() for weight in model.parameters())
    print(
        f"{count / 1e6:.1f}M parameters in {options.dtype}, {options.images} images of {options.tokens} tokens, "
        f"{options.codes} codes, guidance {options.guidance:g}, window {options.window}, {options.device}, "
        f"{options.threads} threads; built in {time.perf_counter() - start:.0f} s"
    )
    least = floor(model, options.device)
    # Of one thread what the processor spent: others may be at work beside it.
    clock = time.process_time if options.device == "cpu" and options.threads == 1 else time.perf_counter
    measured = measure(rounds, options.rounds, options.device, clock)
    seconds = {name: statistics.median(taken) for name, taken in measured.items()}
    print(f"  {'floor':18} {least * 1e3:9.2f} ms a token of plain decoding")
    for name, whole in seconds.items():
        forwards = float(drawn[name].forwards.double().mean()) if name in drawn else float(options.tokens)
        longest = int(drawn[name].forwards.max()) if name in drawn else options.tokens
        print(
            f"  {name:18} {whole * 1e3 / options.tokens:9.2f} ms a token   {forwards:8.1f} forwards an image "
            f"({forwards / options.tokens:.2f} of plain)   {whole * 1e3 / longest:8.2f} ms a forward"
        )
    print(f"plain / transformers = {seconds['plain'] / seconds['transformers']:.3f} (goal: at most 1)")
    for name in ("coupled", "coupled, compiled"):
        if name in seconds:
            print(f"transformers / {name} = {seconds['transformers'] / seconds[name]:.2f} (goal: at least 3)")


if __name__ == "__main__":
    main()
