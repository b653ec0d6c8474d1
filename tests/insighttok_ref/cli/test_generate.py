"""`regionloss generate` as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from insighttok_ref.generator.checkpoints import save_generator
from tests.insighttok_ref.cli.test_reconstruct import size_of, typed
from tests.insighttok_ref.generator.test_checkpoints import generator
from tests.insighttok_ref.tokens.images import saved

CAPTION = "bold, clear text that reads: HELLO"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_generator(tmp_path / "ar", generator())
    return tmp_path


def contents(path: Path) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


@pytest.mark.parametrize("decoder", ["plain", "jacobi", "coupled", "grouped"])
def test_images_are_drawn(here: Path, decoder: str) -> None:
    words = ("--checkpoint", "ar", "--cfg", 3, "--top-k", 40, "--decoder", decoder, "--window", 5)
    code, said = typed("generate", CAPTION, *words, "--n", 3, "--save", "some", "--seed", 5)
    assert code == 0, said
    assert "Drawn in generated.png. Saved in some." in said
    assert ("64.0 an image for 64" in said) == (decoder == "plain")
    assert size_of(Path("generated.png")) == (3 * 16 + 4 * 8, 16 + 2 * 8)
    images = {path.name: contents(path) for path in Path("some").iterdir()}
    assert images.keys() == {"5.png", "6.png", "7.png"}
    assert len(set(images.values())) == 3
    assert typed("generate", CAPTION, *words, "--n", 1, "--save", "again", "--seed", 6)[0] == 0
    assert contents(Path("again/6.png")) == images["6.png"]


def test_greedy_images_are_those_of_any_decoder(here: Path) -> None:
    for decoder in ("plain", "jacobi", "coupled"):
        words = ("--checkpoint", "ar/generator.safetensors", "--temperature", 0, "--n", 1, "--decoder", decoder)
        assert typed("generate", CAPTION, *words, "--save", decoder)[0] == 0
    assert contents(Path("plain/0.png")) == contents(Path("jacobi/0.png")) == contents(Path("coupled/0.png"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--top-k", 301), "--top-k: expected from 1 to 300, the number of codes, got 301."),
        (("--temperature", -1), "--temperature: expected 0 or more, got -1.0."),
        (("--window", 0), "--window: expected 1 or more, got 0."),
        (("--tokenizer", "other.safetensors"), "other.safetensors: expected the tokenizer "),
        (("--tokenizer", "none.pt"), "none.pt: there is no such file."),
        (("--checkpoint", "none"), "none: expected a generator, got no file generator.safetensors there."),
        (("--out", "a.docx"), "--out: expected"),
        (("--cfg", "nan"), "--cfg: expected a finite number, got nan."),
        (("--temperature", "inf"), "--temperature: expected 0 or more, got inf."),
        (("--seed", 2**63), "--seed: expected a number of 62 bits"),
    ],
)
def test_troubles_are_sentences(here: Path, words: tuple[object, ...], sentence: str) -> None:
    saved(here / "other.safetensors", seed=1)
    code, said = typed("generate", CAPTION, "--checkpoint", "ar", *words)
    assert code != 0
    assert sentence in said


def test_a_caption_that_is_too_long_is_a_sentence(here: Path) -> None:
    code, said = typed("generate", "x" * 90, "--checkpoint", "ar")
    assert code != 0
    assert "prompt: expected at most 97 tokens of text, got 118 before the 64 of the image." in said
    assert "The model's context is 160 tokens." in said


def test_sets_of_prompts_lie_where_their_programs_look(here: Path) -> None:
    asked = {"tag": "counting", "include": [{"class": "cow", "count": 2}], "prompt": "a photo of two cows"}
    (here / "geneval.jsonl").write_text("\n".join(json.dumps(one) for one in (asked | {"prompt": "a bench"}, asked)))
    (here / "dpg").mkdir()
    (here / "dpg" / "7.txt").write_text("a red door")
    (here / "long.jsonl").write_text(json.dumps({"prompt_id": 3, "prompt": "A sign", "text": ["six"]}))
    words = ("--checkpoint", "ar", "--n", 4, "--cfg", 1, "--seed", 5)
    for said in ("geneval=geneval.jsonl", "dpg=dpg", "longtext=long.jsonl"):
        code, told = typed("generate", "--prompts", said, *words, "--save", said.partition("=")[0] + "-images")
        assert code == 0, told
    samples = Path("geneval-images/00001/samples")
    assert sorted(path.name for path in samples.iterdir()) == [f"0000{number}.png" for number in range(4)]
    assert json.loads(Path("geneval-images/00001/metadata.jsonl").read_text()) == asked
    assert typed("generate", asked["prompt"], *words[:-1], 5 + 4, "--save", "alone")[0] == 0
    assert [contents(samples / f"0000{number}.png") for number in range(4)] == [
        contents(Path(f"alone/{9 + number}.png")) for number in range(4)
    ]
    assert typed("generate", "a red door", *words, "--save", "door")[0] == 0
    with Image.open("dpg-images/7.png") as square:
        assert square.size == (32, 32)
        for number in range(4):
            left, upper = number % 2 * 16, number // 2 * 16
            part = square.crop((left, upper, left + 16, upper + 16)).tobytes()
            assert part == contents(Path(f"door/{5 + number}.png"))
    assert sorted(path.name for path in Path("longtext-images").iterdir()) == [f"0003_{n}.png" for n in (1, 2, 3, 4)]
    (samples / "00002.png").unlink()
    code, told = typed("generate", "--prompts", "geneval=geneval.jsonl", *words, "--save", "geneval-images")
    assert "1 prompt drawn, 1 drawn already. Saved in geneval-images." in told
    assert (samples / "00002.png").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "generate: expected a caption, or --prompts, got neither."),
        (("a door", "--prompts", "crowd"), "generate: expected a caption or --prompts, got both."),
        (("--prompts", "crowd"), "--save: expected a folder for the images of --prompts, got none."),
        (("--prompts", "dpg=dpg", "--save", "a", "--n", 3), "--n: expected 1, 4, 9, ..., since the images of a prompt"),
        (("--prompts", "people", "--save", "a"), "no set of prompts is named 'people'."),
    ],
)
def test_mistakes_in_what_is_asked_for_are_sentences(here: Path, words: tuple[object, ...], sentence: str) -> None:
    (here / "dpg").mkdir()
    (here / "dpg" / "7.txt").write_text("a red door")
    code, said = typed("generate", *words, "--checkpoint", "ar")
    assert code != 0
    assert sentence in said
