"""The schema of the trainer's options, and what those who come from other scripts may type instead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from insighttok_ref.data.options import FILTERS, DataOptions, SourceOptions
from insighttok_ref.schema import Strict
from regionloss.data.images import MOST_PIXELS
from regionloss.regions import RegionFilter

#: The name that the one source of images has in files and logs.
SOURCE = "photos"
#: What learns where nothing is said.
DECODER = ("decoder",)
DECODER_ONLY = "Decoder only is the default: leave it out. 'model.train=[encoder, decoder]' trains more."
COSINE = "Leave it out: a cosine after a warm-up is what there is."
AUTOMATIC = "Leave it out: there is nothing to set."
NO_DIFFUSION = "Leave it out: it is of a diffusion model; an autoencoder draws no noise levels."
CROPS = "Leave it out: crops are cut at random, at the images' own size; what has text is not mirrored."
HELD_OUT = "Leave it out: a tenth of the images is kept for the report; data.test=100 is the number of its crops."
#: What other scripts call what this trainer has, and what to type.
ELSEWHERE = {
    **dict.fromkeys(("train_only_decoder", "trainable_ae_params", "freeze_encoder", "decoder_only"), DECODER_ONLY),
    **dict.fromkeys(("pretrained_model_name_or_path", "pretrained", "vae", "vae_path"), "Say model.from=FOLDER."),
    **dict.fromkeys(("train_data_dir", "dataset_name", "data_root", "image_folder"), "Say data.images=FOLDER."),
    **dict.fromkeys(("resolution", "image_size", "size"), "Say data.image_size=512."),
    **dict.fromkeys(("max_train_steps", "num_train_steps", "train_steps"), "Say steps=5000."),
    **dict.fromkeys(("train_batch_size", "batch"), "Say batch_size=4."),
    **dict.fromkeys(("learning_rate", "base_learning_rate"), "Say lr=5e-5."),
    "gradient_accumulation_steps": "Say batch_size=16 engine.micro_batch=4: a step is then 4 micro-batches.",
    "gradient_checkpointing": "Say model.checkpointing=true.",
    "mixed_precision": "Say engine.precision=bf16.",
    "output_dir": "Say out=FOLDER.",
    "num_train_epochs": "Say steps=5000: the length of a run is counted in steps.",
    **dict.fromkeys(("lr_scheduler", "lr_num_cycles", "lr_power", "scale_lr"), COSINE),
    "lr_warmup_steps": "Say warmup=0.05, a share of the steps.",
    "max_grad_norm": "Say optimizer.clip=1.",
    **dict.fromkeys(("adam_beta1", "adam_beta2"), "Say 'optimizer.betas=[0.9, 0.999]'."),
    "adam_weight_decay": "Say optimizer.weight_decay=0.01.",
    "dataloader_num_workers": "Say data.workers=4.",
    "max_train_samples": "Say data.max_files=2000.",
    "checkpointing_steps": "Say log.save_every=200.",
    "checkpoints_total_limit": "Say log.keep=2.",
    "report_to": "Say 'log.loggers=[wandb]'; [tensorboard] is the default.",
    **dict.fromkeys(("logging_dir", "tracker_project_name"), "Leave it out: logs lie in the run's folder, out=FOLDER."),
    **dict.fromkeys(("use_8bit_adam", "adam_epsilon"), "Leave it out: the optimizer is AdamW with 32 bits."),
    **dict.fromkeys(("allow_tf32", "set_grads_to_none", "enable_xformers_memory_efficient_attention"), AUTOMATIC),
    **dict.fromkeys(("snr_gamma", "noise_offset", "prediction_type", "prior_loss_weight"), NO_DIFFUSION),
    **dict.fromkeys(("revision", "variant", "non_ema_revision"), "Say model.from=FOLDER, the one that you mean."),
    **dict.fromkeys(("center_crop", "random_flip", "image_interpolation_mode"), CROPS),
    **dict.fromkeys(("validation_image", "validation_steps", "validation_epochs"), HELD_OUT),
    **dict.fromkeys(("push_to_hub", "hub_token", "hub_model_id"), "Leave it out: nothing is sent anywhere."),
    "kl_scale": "Say objective.kl=1e-6; it counts where the encoder learns.",
    **dict.fromkeys(("disc_factor", "disc_scale"), "Say objective.adversarial.weight=0.5."),
    "resume_from_checkpoint": "Say --resume FOLDER.",
    **dict.fromkeys(("use_lora", "lora_rank", "network_dim"), "Say model.lora=16, the rank."),
    **dict.fromkeys(("lora_alpha", "network_alpha"), "Say 'model.lora={rank: 16, alpha: 32}'."),
    "use_ema": "Say weight_average=0.999, which is the default; 0 keeps none.",
    "ema_decay": "Say weight_average=0.999.",
    **dict.fromkeys(("disc_start", "use_gan"), "Say objective.adversarial.listen_from=1000."),
    **dict.fromkeys(("lpips_scale", "perceptual_scale", "perceptual_weight"), "Say objective.perceptual.weight=0.1."),
    **dict.fromkeys(("rec_loss", "mse"), "Say objective.l1=0 objective.l2=1 for the mean squared difference."),
}


class LoraOptions(Strict):
    """Low-rank matrices that learn in place of the weights, and are added to them when it is saved.

    Args:
        rank: Rank of the matrices.
        alpha: What they are multiplied by, times the rank; None takes the rank.
    """

    rank: PositiveInt = 16
    alpha: PositiveInt | None = None


class ModelOptions(Strict):
    """The autoencoder that is tuned.

    Args:
        from_: The folder or the file that it is read from.
        train: Parts that learn: the decoder, some of its blocks by name, or the encoder and the quantizer, too, after
            which its latents are others.
        lora: Rank of low-rank matrices that learn in place of the weights of those parts, or rank and alpha; None lets
            the weights learn.
        adapter: `residual` leaves the decoder of a discrete tokenizer as it is, too: a second codebook under the same
            ids and a residual decoder learn what is added to its images.
        checkpointing: Whether to compute activations of the decoder again in backward: less memory, a third more time.
        options: Options of the class that reads it, such as `trust: true` for an old pickle.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=False, validate_by_alias=True)

    from_: Path | None = Field(default=None, alias="from")
    train: Annotated[tuple[str, ...], Field(min_length=1)] = DECODER
    lora: Annotated[int, Field(strict=True, gt=0)] | LoraOptions | None = None
    adapter: Literal["residual"] | None = None
    checkpointing: bool = False
    options: Mapping[str, Any] = {}

    @model_validator(mode="after")
    def _one_way(self) -> ModelOptions:
        if self.adapter is not None:
            others = {"lora": self.lora, "train": None if self.train == DECODER else ", ".join(self.train)}
            for name, value in others.items():
                if value is not None:
                    raise ValueError(
                        f"expected 'adapter' without '{name}', got {name} {value}. What it adds learns as a whole, and "
                        "nothing else: leave one of them out."
                    )
        return self

    @property
    def low_rank(self) -> LoraOptions | None:
        """The options of the low-rank matrices, if any."""
        return LoraOptions(rank=self.lora) if isinstance(self.lora, int) else self.lora


class FolderOptions(Strict):
    """The user's own images.

    Args:
        images: Folder of the images.
        image_size: Side of the square crops, pixels; they are cut out of the images and never enlarged.
        test: Crops for the report, out of the tenth of the images that is kept from training; 0 makes no report.
        max_files: Most files that are used, a seeded choice.
        regions: Side-car of these images from an earlier run (`photos.regions.parquet`): who is in it is not looked
            for again, and who is not is added.
        filters: Rules for the regions that are kept, by kind.
        workers: Processes that make batches; 0 makes them in the training process, None takes one a processor, 4 at
            most.
        prefetch: Batches that each worker makes ahead.
        max_pixels: Most pixels of an image that is decoded.
    """

    images: str | None = None
    image_size: PositiveInt = 256
    test: NonNegativeInt = 100
    max_files: PositiveInt = 2000
    regions: Path | None = None
    filters: Mapping[str, RegionFilter] = Field(default=FILTERS)
    workers: NonNegativeInt | None = None
    prefetch: PositiveInt = 2
    max_pixels: PositiveInt = MOST_PIXELS

    @field_validator("images")
    @classmethod
    def _named(cls, images: str | None) -> str | None:
        if images is not None and not images.strip():
            raise ValueError("expected a folder of images, got an empty name")
        return images

    def as_data(self) -> DataOptions:
        """Return the same as the data of any trainer."""
        source = SourceOptions(images=self.images, annotate=True, max_files=self.max_files, test=self.test)
        return DataOptions(
            image_size=self.image_size,
            sources={SOURCE: source},
            filters=self.filters,
            workers=self.workers,
            prefetch=self.prefetch,
            max_pixels=self.max_pixels,
        )
