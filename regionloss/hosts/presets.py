"""The losses of published tokenizers. Each was read in the file named, at the commit named."""

from __future__ import annotations

from torch import nn

from regionloss.hosts.host_spec import HostSpec, Turn

FIRST_OPTIMIZER = Turn("optimizer_idx", (0,))
IMAGES = ("inputs", "reconstructions")
TAMING_PARAMETERS = (
    "codebook_loss", *IMAGES, "optimizer_idx", "global_step", "last_layer", "cond", "split",
)  # fmt: skip
MAGVIT_PARAMETERS = ("codebook_loss", "loss_break", *TAMING_PARAMETERS[1:])

#: CompVis/taming-transformers 3ba01b2, taming/modules/losses/vqperceptual.py, VQLPIPSWithDiscriminator.
TAMING = HostSpec(
    *IMAGES,
    is_generator=FIRST_OPTIMIZER,
    log_prefix="{split}/",
    step="global_step",
    parameters=TAMING_PARAMETERS,
)

#: joanrod/ocr-vqgan 68e36b5, the same file, VQLPIPSWithDiscriminatorOCR.
OCR_VQGAN = TAMING

#: TencentARC/SEED-Voken b9a17ea, src/IBQ/modules/losses/vqperceptual.py: the discriminator's turn comes first there.
IBQ = TAMING

#: TencentARC/SEED-Voken b9a17ea, src/Open_MAGVIT2/modules/losses/vqperceptual.py.
OPEN_MAGVIT2 = HostSpec(
    *IMAGES,
    is_generator=FIRST_OPTIMIZER,
    log_prefix="{split}/",
    step="global_step",
    parameters=MAGVIT_PARAMETERS,
)

#: zhuangshaobin/WeTok caa2ad7, src/WeTok/modules/losses/vqperceptual.py: turn 2 trains the decoder alone.
WETOK = HostSpec(
    *IMAGES,
    is_generator=Turn("optimizer_idx", (0, 2)),
    log_prefix="{split}/",
    step="global_step",
    parameters=MAGVIT_PARAMETERS,
)

#: FoundationVision/LlamaGen ce98ec4, tokenizer/tokenizer_image/vq_loss.py, VQLoss: returns the loss alone.
LLAMAGEN = HostSpec(
    *IMAGES,
    is_generator=FIRST_OPTIMIZER,
    step="global_step",
    parameters=("codebook_loss", *IMAGES, "optimizer_idx", "global_step", "last_layer", "logger", "log_every"),
)

#: bytedance/1d-tokenizer 942a96f, modeling/modules/losses.py, ReconstructionLoss_Stage2 and _Single_Stage.
ONE_D_TOKENIZER = HostSpec(
    *IMAGES,
    is_generator=Turn("mode", ("generator",)),
    value_range=(0.0, 1.0),
    step="global_step",
    adaptive_weight=None,
    parameters=(*IMAGES, "extra_result_dict", "global_step", "mode"),
)

#: markweberdev/maskbit 5ea3d73, modeling/modules/losses.py, VQGANLoss.
MASKBIT = HostSpec(
    *IMAGES,
    is_generator=Turn("mode", ("gen",)),
    value_range=(0.0, 1.0),
    step="global_step",
    parameters=(*IMAGES, "extra_result_dict", "global_step", "last_layer", "mode"),
)

#: Stability-AI/generative-models 07bf825, sgm/modules/autoencoding/losses/discriminator_loss.py,
#: GeneralLPIPSWithDiscriminator: keywords from the third parameter on; adds up an image's (or a frame's) pixels.
SGM = HostSpec(
    *IMAGES,
    is_generator=FIRST_OPTIMIZER,
    reduction="sum_per_image",
    log_prefix="{split}/",
    step="global_step",
    parameters=(
        *IMAGES, "regularization_log", "optimizer_idx", "global_step", "last_layer", "split", "weights",
    ),
)  # fmt: skip


def pp_style(host: nn.Module) -> str:
    """Return how a loss of VA-VAE reduces: its option `pp_style` averages, else an image's pixels are added up."""
    return "mean" if getattr(host, "pp_style", False) else "sum_per_image"


#: hustvl/LightningDiT, vavae/ldm/modules/losses/contperceptual.py, LPIPSWithDiscriminator; read in
#: sigma-alpha-beta/Siglip-VAE c28121f.
VA_VAE = HostSpec(
    *IMAGES,
    is_generator=FIRST_OPTIMIZER,
    reduction=pp_style,
    log_prefix="{split}/",
    step="global_step",
    parameters=(
        *IMAGES, "posteriors", "optimizer_idx", "global_step", "last_layer", "cond", "split", "weights", "z",
        "aux_feature",
    ),
)  # fmt: skip

#: lxa9867/ImageFolder 42fd2e7, tokenizer/tokenizer_image/vq_loss.py, VQLoss: returns the loss alone.
XQ_GAN = HostSpec(
    *IMAGES,
    is_generator=FIRST_OPTIMIZER,
    step="global_step",
    parameters=(
        "codebook_loss", "sem_loss", "detail_loss", "dependency_loss", *IMAGES, "optimizer_idx", "global_step",
        "last_layer", "logger", "log_every",
    ),
)  # fmt: skip

#: CSU-JPG/RDA 66a7f6f, tokenizer/tokenizer_image/resfreqvq_loss.py, ResFreqVQLoss: `inputs` and `reconstructions` are
#: residuals there; the pictures are what they add up to.
RDA = HostSpec(
    "gt_img",
    "sum_recons",
    is_generator=FIRST_OPTIMIZER,
    step="global_step",
    parameters=(
        "codebook_loss", *IMAGES, "gt_img", "sum_recons", "optimizer_idx", "global_step", "last_layer", "logger",
        "log_every",
    ),
)  # fmt: skip

#: wzhouxiff/RestoreFormerPlusPlus 607660e, RestoreFormer/modules/losses/vqperceptual.py: turns 1 to 4 are those of
#: discriminators, of the face, its eyes and its mouth.
RESTOREFORMER = HostSpec(
    "gts",
    "reconstructions",
    is_generator=FIRST_OPTIMIZER,
    log_prefix="{split}/",
    step="global_step",
    parameters=(
        "codebook_loss", "gts", "reconstructions", "components", "optimizer_idx", "global_step", "last_layer", "split",
    ),
)  # fmt: skip

#: iluvn01/VFMTok e118e5c, vfmtok/tokenizer/vq_loss.py, VQLoss: the reconstruction is the first of three outputs.
VFMTOK = HostSpec(
    "inputs",
    "outputs[0]",
    is_generator=FIRST_OPTIMIZER,
    step="global_step",
    parameters=(
        "codebook_loss", "inputs", "outputs", "optimizer_idx", "global_step", "last_layer", "logger", "log_every",
    ),
)  # fmt: skip
