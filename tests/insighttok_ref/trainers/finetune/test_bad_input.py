"""What a run cannot work with, each a sentence; and what those who come from other scripts type."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from insighttok_ref.tokenizers.insighttok.checkpoints import save_tokenizer
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from insighttok_ref.trainers.finetune.calibration import shares_of
from insighttok_ref.trainers.finetune.session import other_recipe
from regionloss.autoencoders import open_trainable
from regionloss.cli.main import app
from regionloss.errors import InputError, RegionLossError
from regionloss.recipe import TrainingRun, build_trainer, load_recipe
from tests.insighttok_ref.trainers.finetune.conftest import TINY, Prepare


def sentence(run: TrainingRun) -> str:
    with pytest.raises(RegionLossError) as found:
        build_trainer(run.loaded).run(run)
    return str(found.value)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def test_a_folder_without_images(prepare: Prepare, empty: Path, tmp_path: Path) -> None:
    said = sentence(prepare(tmp_path / "run", f"data.images={empty}"))
    assert said.startswith(f"images ('{empty}'): expected files such as .avif")


def test_no_folder(prepare: Prepare, tmp_path: Path) -> None:
    assert "nowhere" in sentence(prepare(tmp_path / "run", "data.images=nowhere"))


def test_images_smaller_than_the_crop(prepare: Prepare, tmp_path: Path) -> None:
    said = sentence(prepare(tmp_path / "run", "data.image_size=64"))
    assert "expected two images of at least 64 x 64 pixels, the size of a crop" in said
    assert said.endswith("got 10 images, the largest with a shorter side of 60. Say data.image_size=32.")


def test_some_images_smaller_than_the_crop_are_left_out(prepare: Prepare, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for file in photos.iterdir():
        Image.open(file).save(folder / file.name)
    Image.new("RGB", (20, 90)).save(folder / "thin.png")
    run = prepare(tmp_path / "run", f"data.images={folder}")
    trainer = build_trainer(run.loaded)
    from regionloss.runs import join

    with join("cpu") as ranks:
        notes = trainer.session(run, ranks).data.notes
    assert "1 more are smaller than the crops of 32 x 32 pixels, and left out." in notes


def test_no_region_found(prepare: Prepare, tmp_path: Path) -> None:
    said = sentence(prepare(tmp_path / "run", "terms.text.detector.options.boxes=[]"))
    assert "expected regions for the terms, got none of kind text in 9 images. Say terms={} to tune without" in said


def test_no_region_is_needed_where_no_term_has_a_weight(prepare: Prepare, tmp_path: Path) -> None:
    judged = ("terms.text=0", "evaluation.judges={text: text/ppocr-v6}")
    run = prepare(tmp_path / "run", "terms.text.detector.options.boxes=[]", *judged, "steps=1")
    build_trainer(run.loaded).run(run)
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.from=null", "model.from: expected the autoencoder to tune, got nothing. Say model.from=./sdxl-vae"),
        ("data.images=null", "data.images: expected a folder of images, got nothing. Say data.images=./photos"),
        ("data.image_size=33", "data.image_size: expected a multiple of "),
        ("model.train=[decodr]", "model.train: no part of the autoencoder is named 'decodr'. Did you mean 'decoder'?"),
        (
            "model.train=[decoder.conv_norm_out] model.lora=4",
            "lora: expected linear layers or convolutions, got 'decoder.",
        ),
        ("share.txt=0.5", "share: expected terms of weight 'auto', got 'txt', which is none of 'text'"),
        ("model.from=no-such-vae", "model.from: expected a file or a folder, got 'no-such-vae', which is not there"),
    ],
)
def test_what_does_not_fit(prepare: Prepare, tmp_path: Path, override: str, said: str) -> None:
    assert said in sentence(prepare(tmp_path / "run", *override.split(" ")))
    assert not (tmp_path / "run" / "photos.regions.parquet").exists()  # said before anything is looked for


def test_a_model_of_another_kind(prepare: Prepare, empty: Path, tmp_path: Path) -> None:
    (empty / "config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    said = sentence(prepare(tmp_path / "run", f"model.from={empty}"))
    assert said.startswith(
        f"model.from: {empty / 'config.json'}: expected an autoencoder, got 'UNet2DConditionModel'. In"
    )


def test_a_folder_and_a_file_without_a_model(prepare: Prepare, empty: Path, photos: Path, tmp_path: Path) -> None:
    """Of `model.from`, and not of options of other commands."""
    said = sentence(prepare(tmp_path / "run", f"model.from={empty}"))
    assert said.startswith("model.from: expected a folder that diffusers can load, a tokenizer of ours")
    assert f"got '{empty}', a folder with nothing in it. Give the folder that 'save_pretrained' wrote, or" in said
    said = sentence(prepare(tmp_path / "run", f"model.from={photos}"))
    assert f"got '{photos}', a folder with 0.png, 1.png, 2.png. Give the folder" in said
    (empty / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    said = sentence(prepare(tmp_path / "run", f"model.from={empty}"))
    assert said.startswith(f"model.from: {empty / 'config.json'}: expected the configuration of a model of diffusers")
    assert "copy it, too" in said


def test_a_recipe_that_is_meant_for_others_says_so(vae: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = {"ch": 16, "ch_mult": (1, 1), "num_res_blocks": 1, "z_channels": 8, "code_dim": 4, "codebook_size": 16}
    save_tokenizer(InsightTokenizer(**small, attn_resolutions=(), norm_groups=4), tmp_path / "vq.safetensors")
    continuous, discrete = (open_trainable(path, torch.device("cpu")) for path in (vae, tmp_path / "vq.safetensors"))
    vaes, tokenizers = (load_recipe(name).source.name for name in ("finetune-vae", "finetune-tokenizer"))
    assert (
        other_recipe(continuous, vaes) == other_recipe(discrete, tokenizers) == other_recipe(discrete, "my.yaml") == []
    )
    what = "This is a tokenizer of the kind 'ours', 16 codes"
    assert other_recipe(discrete, vaes) == [
        f"{what}: it works so, too, but 'finetune-tokenizer' is the recipe that is meant for it."
    ]
    assert "'finetune-vae' is the recipe" in other_recipe(continuous, tokenizers)[0]


@pytest.mark.parametrize(
    ("override", "advice"),
    [
        ("train_only_decoder=true", "Decoder only is the default: leave it out."),
        ("trainable_ae_params=decoder", "Decoder only is the default: leave it out."),
        ("pretrained_model_name_or_path=stabilityai/sd-vae-ft-mse", "Say model.from=FOLDER."),
        ("max_train_steps=100", "Say steps=5000."),
        ("gradient_accumulation_steps=4", "Say batch_size=16 engine.micro_batch=4"),
    ],
)
def test_words_of_other_scripts_are_understood(override: str, advice: str) -> None:
    done = CliRunner().invoke(app, ["train", str(TINY), override])
    name = override.partition("=")[0]
    assert done.exit_code == 2
    assert done.stderr.startswith(
        f"override '{override}': trainer.options.{name}: expected an option of this trainer, got '{name}', one of "
        f"other programs. {advice}"
    )


def told(*typed: str, command: str = "train") -> list[str]:
    done = CliRunner().invoke(app, [command, *typed])
    assert done.exit_code == 2
    return str(done.stderr).splitlines()


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        ("--train_only_decoder", "Decoder only is the default: leave it out."),
        ("--pretrained_model_name_or_path stabilityai/sd-vae-ft-mse", "Say model.from=FOLDER."),
        ("--learning_rate 5e-5", "Say lr=5e-5."),
        ("--learning-rate=5e-5", "Say lr=5e-5."),
        ("--use_ema", "Say weight_average=0.999, which is the default"),
        ("--gradient_checkpointing", "Say model.checkpointing=true."),
        ("--mixed_precision bf16", "Say engine.precision=bf16."),
        ("--snr_gamma 5", "Leave it out: it is of a diffusion model"),
        ("--use_8bit_adam", "Leave it out: the optimizer is AdamW with 32 bits."),
        ("--report_to wandb", "Say 'log.loggers=[wandb]'"),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_flags_of_other_scripts_are_understood(typed: str, advice: str, before: bool) -> None:
    words = [*typed.split(), str(TINY)] if before else [str(TINY), *typed.split(), "steps=3"]
    (line,) = told(*words)
    name = typed.replace("=", " ").split()[0]
    assert line.startswith(f"{name}: expected an option of 'regionloss train', got one of other programs. {advice}")


def test_a_whole_line_of_another_script_is_answered_flag_by_flag() -> None:
    lines = told(
        str(TINY),
        *[
            "--train_data_dir",
            "a",
            "--steps",
            "50",
            "--data.image_size",
            "64",
            "--seed",
            "1",
            "--no_such",
            "3",
            "--out",
            "b",
        ],
    )
    assert [line.partition("got ")[2] for line in lines[:4]] == [
        "one of other programs. Say data.images=FOLDER.",
        "a key of the recipe. Say steps=50.",
        "a key of the recipe. Say data.image_size=64.",
        "a key of the recipe. Say seed=1.",
    ]
    assert lines[4].startswith(
        "--no_such: expected an option of 'regionloss train', got one that is not known. Leave it out, or change a key "
        f"of the recipe as KEY=VALUE ('regionloss show {TINY}' prints all). Known: "
    )
    assert len(lines) == 5


@pytest.mark.parametrize("command", ["check", "show", "launch"])
def test_every_command_with_a_recipe_understands_flags(command: str) -> None:
    assert told(str(TINY), "--use_ema", command=command)[0].endswith("the default; 0 keeps none.")


@pytest.mark.parametrize("typed", ["--frobnicate", "--frobnicate=5", "--frobnicate 5"])
def test_a_flag_that_is_in_no_list_is_answered(typed: str) -> None:
    (line,) = told(str(TINY), *typed.split())
    assert line.startswith(
        "--frobnicate: expected an option of 'regionloss train', got one that is not known. Leave it"
    )


def test_what_is_advised_instead_of_flags_is_understood() -> None:
    loaded = load_recipe(TINY, ["log.loggers=[wandb]", "objective.adversarial={weight: 0.5}", "objective.kl=1e-6"])
    assert build_trainer(loaded).log.loggers[0].use == "wandb"


@pytest.mark.parametrize("words", [[str(TINY), "--resum", "x"], ["no-such-recipe", "--use_ema"], ["--use_ema"]])
def test_other_flags_are_left_to_the_command_line(words: list[str]) -> None:
    assert "No such option" in "\n".join(told(*words))


@pytest.mark.parametrize(("share", "names"), [(0.5, ["a", "b"]), ({"a": 0.75}, ["a", "b"])])
def test_shares_leave_something_for_whole_images(share: object, names: list[str]) -> None:
    with pytest.raises(InputError, match="share: expected shares whose sum is less than 1, got 1"):
        shares_of(share, names, 0.25)


def test_a_trainer_that_finds_no_weights_says_so(tmp_path: Path) -> None:
    run = TrainingRun(load_recipe(TINY.parents[1] / "tokenizer" / "tiny.yaml", ["terms.text=auto"]), tmp_path)
    said = sentence(run)
    assert "terms.text: weight: expected a number, got 'auto'. The trainer 'finetune' finds weights" in said


def test_to_switch_low_rank_matrices_on_is_to_say_a_rank() -> None:
    (said,) = told(str(TINY), "model.lora=true")
    assert said.endswith("trainer.options.model.lora: expected an integer or a mapping, got true.")
