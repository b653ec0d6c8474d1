"""Named terms, and what a caller gets wrong."""

from __future__ import annotations

import warnings

import pytest
import torch

from regionloss import LossTerms, NormalisedL2, RegionPerceptualLoss, Regions, Term
from regionloss.extractors.whole_image import WholeImageExtractor
from regionloss.losses import terms as terms_module
from regionloss.weightings.area import UniformWeighting
from tests.helpers import backbone, face_loss, face_regions, images, text_loss, text_regions


def both(**options: object) -> LossTerms:
    return LossTerms({"text": Term(text_loss(), "text", 2.0, **options), "face": Term(face_loss(), "face", 0.5)})


def batch(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    return images(3, dtype=dtype).requires_grad_(), images(3, seed=1, dtype=dtype)


def test_total_is_the_weighted_sum() -> None:
    x, y = batch()
    out = both()(x, y, {"text": text_regions(), "face": face_regions()})
    expected = 2 * text_loss()(x, y, text_regions()) + 0.5 * face_loss()(x, y, face_regions())
    torch.testing.assert_close(out.total, expected)
    assert set(out.by_term) == {"text", "face"}
    assert out.per_region["text"].shape == (5,)
    torch.testing.assert_close(out.per_region["face"].sum() / 3, out.by_term["face"].detach())
    assert out.logs["region/text_count"] == 5
    assert all(value.shape == () and not value.requires_grad for value in out.logs.values())


@pytest.mark.filterwarnings("ignore:regions. expected such as")
def test_a_missing_kind_is_zero_and_keeps_the_graph() -> None:
    x, y = batch()
    for regions in (None, {}, {"text": Regions.empty("text", (40, 48))}):
        out = both()(x, y, regions)
        assert out.total == 0
        out.total.backward()
    assert x.grad.abs().max() == 0


def test_start_step() -> None:
    x, y = batch()
    terms = both(start_step=10)
    regions = {"text": text_regions()}
    assert terms(x, y, regions, step=9).total == 0
    assert terms(x, y, regions, step=10).total > 0
    assert terms(x, y, regions).total > 0


def test_whole_image_terms_need_no_regions() -> None:
    """Reference: the LPIPS-style distance of whole images in a loop over channels' vectors."""
    x, y = batch()
    loss = RegionPerceptualLoss(WholeImageExtractor(), backbone(), NormalisedL2(levels="sum"), UniformWeighting())
    out = LossTerms({"global": Term(loss, "whole_image")})(x, y, None)
    total = torch.zeros((), dtype=torch.float64)
    for a, b in zip(loss.backbone(x), loss.backbone(y), strict=True):
        for n in range(3):
            for i in range(a.shape[2]):
                for j in range(a.shape[3]):
                    u, v = (t[n, :, i, j] / (t[n, :, i, j].square().sum() + 1e-10).sqrt() for t in (a, b))
                    total = total + (u - v).square().sum() / (a.shape[2] * a.shape[3] * 3)
    torch.testing.assert_close(out.total, total)


def test_regions_of_one_kind_may_come_alone() -> None:
    x, y = batch()
    torch.testing.assert_close(both()(x, y, text_regions()).total, both()(x, y, {"text": text_regions()}).total)


def test_a_term_that_meets_no_region_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms_module, "SILENT_STEPS", 3)
    terms = LossTerms({"text": Term(text_loss(), "text")})
    x, y = batch()
    none = {"text": Regions.empty("text", (40, 48))}
    terms(x, y, none)
    terms(x, y, none)
    with pytest.warns(UserWarning, match=r"^term 'text': no region of kind 'text' in 3 steps\."):
        terms(x, y, none)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        terms(x, y, none)


def test_terms_that_count_for_nothing_ask_for_no_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the other one is told of, and the kind that a weightless term alone would read is nobody's."""
    monkeypatch.setattr(terms_module, "SILENT_STEPS", 3)
    x, y = batch()
    weightless = Term(text_loss(), "text", weight=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for regions in (None, {}, {"face": face_regions()}, None, None):
            LossTerms({"text": weightless})(x, y, regions)
        silent = LossTerms({"text": weightless})
        for _ in range(5):
            silent(x, y, {"face": face_regions()})
    mixed = LossTerms({"text": weightless, "counts": Term(text_loss(), "text")})
    with pytest.warns(UserWarning) as told:  # noqa: PT030, PT031
        for _ in range(5):
            mixed(x, y, {})
    assert [str(one.message).partition(":")[0] for one in told] == ["regions", "term 'counts'"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda x: (x + 1) * 127.5,
            r"^target: expected values in \[-1, 1\], got \[0, 255\]\. Divide by 127\.5 and subtract 1\.",
        ),
        (lambda x: x * 3, r"^target: expected values in \[-1, 1\], got \[-(2\.99\d*|3), (2\.99\d*|3)\]\."),
        (lambda x: x[:, :1], r"^target: expected \(B, 3, H, W\), got \(3, 1, 40, 48\)\. Grey images: images\.expand"),
        (
            lambda x: torch.cat([x, x[:, :1]], 1),
            r"^target: expected \(B, 3, H, W\), got \(3, 4, 40, 48\)\. Drop or",
        ),
        (lambda x: x[0], r"^target: expected \(B, 3, H, W\), got \(3, 40, 48\)\. Add a batch dimension"),
        (lambda x: x[:, None], r"^target: expected \(B, 3, H, W\), got \(3, 1, 3, 40, 48\)\. Fold time"),
        (
            lambda x: x.permute(0, 2, 3, 1),
            r"^target: expected \(B, 3, H, W\), got \(3, 40, 48, 3\)\. Channels",
        ),
        (lambda x: ((x + 1) * 127).byte(), r"^target: expected floating point values in \[-1, 1\], got torch\.uint8\."),
        (lambda x: x[:2], r"^reconstruction, target: expected one shape, got \(3, 3, 40, 48\) and \(2, 3, 40, 48\)\."),
        (lambda x: x.log(), r"^target: expected finite values, got NaN or inf in 3 of 3 images\."),
        (lambda x: x.numpy(), r"^target: expected a tensor \(B, 3, H, W\), got ndarray\."),
    ],
)
def test_bad_targets_are_sentences(change, sentence: str) -> None:
    x, y = batch(torch.float32)
    with pytest.raises(ValueError, match=sentence):
        both()(x, change(y), {"text": text_regions()})


@pytest.mark.parametrize(
    ("regions", "sentence"),
    [
        ([1, 2], r"^regions: expected a mapping of kind to Regions, got list\."),
        ({"text": torch.zeros(1, 4)}, r"^regions\['text'\]: expected Regions, got Tensor\."),
        ({"text": face_regions()}, r"^regions\['text'\]\.kind: expected 'text', got 'face'\."),
        (
            {"text": Regions.empty("text", (8, 8))},
            r"^regions\['text'\]\.image_size: expected \(40, 48\), got \(8, 8\)\.",
        ),
        ({"text": text_regions(7)}, r"^regions\['text'\]\.num_images: expected 3 as in the batch, got 7\."),
        (
            {"text": Regions("text", torch.ones(1, 4).cumsum(1), torch.tensor([5]), (40, 48))},
            r"image_index: expected 0 to 2, got 5",
        ),
    ],
)
def test_bad_regions_are_sentences(regions: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        both()(*batch(), regions)


def test_unit_range_given_as_signed_is_a_warning() -> None:
    x, y = batch()
    with pytest.warns(
        UserWarning,
        match=r"^target: expected values in \[-1, 1\], got a first batch in \[.*If the images are in \[0, 1\]",
    ):
        text_loss()(x, (y + 1) / 2, text_regions())


def test_crops_of_another_size_than_the_backbone_wants() -> None:
    loss = text_loss()
    loss.backbone.input_spec = type(loss.backbone.input_spec)(size=(32, 128))
    with pytest.raises(ValueError, match=r"^crops: expected 32 x 128 pixels, got 12 x 20\. Set the extractor's size"):
        loss(*batch(), text_regions())


def test_a_late_term_is_not_called_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms_module, "SILENT_STEPS", 2)
    terms = LossTerms({"text": Term(text_loss(), "text", start_step=100)})
    for step in range(4):
        terms(*batch(), {"text": text_regions()}, step=step)


def test_a_kind_that_no_term_reads() -> None:
    other = Regions("textt", torch.ones(1, 4).cumsum(1), torch.tensor([0]), (40, 48))
    with pytest.warns(UserWarning, match=r"^regions: no term reads kind 'textt'\. Did you mean 'text'\?"):
        both()(*batch(), {"textt": other})


def test_values_gone_bad_are_told_every_hundred_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms_module, "CHECK_STEPS", 2)
    x, y = batch()
    terms, bad = both(), torch.full_like(x, torch.nan)
    terms(x, y, text_regions())
    terms(bad, y, text_regions())
    with pytest.raises(
        ValueError, match=r"^term 'text': expected a finite value, got nan\. Look at the reconstruction"
    ):
        terms(bad, y, text_regions())


def test_ranges_have_their_own_advice() -> None:
    x, y = batch()
    with pytest.raises(ValueError, match=r"^target: expected values in \[0, 1\], got \[0, 255\]\. Divide by 255\.$"):
        text_loss(value_range=(0, 1))(x, (y + 1) * 127.5, text_regions())
    with pytest.raises(
        ValueError, match=r"^value_range: expected \(low, high\) with low < high, such as \(0, 1\), got"
    ):
        text_loss(value_range=(1, -1))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: text_loss(chunk_size=0), r"^chunk_size: expected None or a positive whole number, got 0\."),
        (lambda: RegionPerceptualLoss("resize", backbone()), r"^extractor: expected a RegionExtractor, got str\."),
        (
            lambda: RegionPerceptualLoss(WholeImageExtractor(), torch.nn.Identity()),
            r"^backbone: expected a FeatureBackbone",
        ),
        (lambda: LossTerms({"text": text_loss()}), r"^terms\['text'\]: expected a Term, got RegionPerceptualLoss\."),
        (
            lambda: LossTerms.from_names(3),
            r"^terms: expected a path, names of terms, or .*, got int\.",
        ),
        (
            lambda: LossTerms.from_names(["text", "text"]),
            r"^terms: expected names of terms, each once, got 'text' twice",
        ),
        (lambda: LossTerms.from_names([["text"]]), r"^terms: expected names of terms, each once, got \['text'\]"),
        (lambda: LossTerms.from_names({"text": float("nan")}), r"^terms: text: expected a finite weight"),
    ],
)
def test_bad_parts_are_sentences(make, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


def test_terms_may_have_any_name() -> None:
    names = ("keys", "type", "a.b", "a_b")
    terms = LossTerms({name: Term(text_loss(), "text") for name in names})
    assert set(terms(*batch(), text_regions()).by_term) == set(names)


def test_unknown_names() -> None:
    with pytest.raises(LookupError, match=r"^no term is named 'txet'\. Did you mean 'text"):
        LossTerms.from_names({"txet": 1.0})
    with pytest.raises(ValueError, match=r"reduction: expected 'image_mean', 'sum' or 'none', got 'mean'"):
        text_loss(reduction="mean")
