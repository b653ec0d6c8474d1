"""`regionloss checkpoint convert` of generators as typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from insighttok_ref.generator.checkpoints import save_generator
from tests.insighttok_ref.cli.test_reconstruct import typed
from tests.insighttok_ref.generator.test_checkpoints import generator
from tests.insighttok_ref.tokens.images import saved


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_generator(tmp_path / "ar", generator())
    return tmp_path


def test_a_generator_goes_to_janus_and_back_and_draws(here: Path) -> None:
    code, said = typed("checkpoint", "convert", "ar", "--from", "ours", "--to", "janus")
    assert code == 0, said
    assert said.endswith("Written to ar-janus.\n")
    assert typed("checkpoint", "convert", "ar/generator.safetensors", "--to", "janus")[0] == 0
    assert Path("ar/generator-janus/config.json").is_file()
    advice = (
        "expected a generator, got a Janus of transformers. Convert it: regionloss checkpoint convert ar-janus --from"
    )
    assert advice in typed("generate", "a door", "--checkpoint", "ar-janus")[1]
    code, said = typed("checkpoint", "convert", "ar-janus", "--out", "back")  # what lies there is seen
    assert code == 0, said
    assert said.startswith("janus: a generator of ")
    for folder in ("ar", "back"):
        words = ("--checkpoint", folder, "--n", 1, "--save", f"{folder}-images")
        assert typed("generate", "a door", *words)[0] == 0
    assert Path("ar-images/0.png").read_bytes() == Path("back-images/0.png").read_bytes()


def test_troubles_are_sentences(here: Path) -> None:
    saved(here / "tokenizer.safetensors")
    for words, sentence in (
        (("ar", "--from", "taming", "--to", "janus"), "--from: expected ours or janus, the kinds of generators, got"),
        (("ar", "--from", "janus", "--to", "official"), "--to: expected ours or janus, the kinds of generators, got"),
        (("ar", "--from", "janus", "--to", "ours"), "ar: expected a Janus of transformers, got no file config.json"),
        (("tokenizer.safetensors", "--to", "janus"), "expected a generator, got a file of tensors that does not say"),
        (("ar", "--to", "janus", "--out", "ar"), "--out: expected a new or an empty folder, got 'ar'"),
    ):
        code, said = typed("checkpoint", "convert", *words)
        assert code in (1, 2), said
        assert sentence in said
