"""The quickstart's data: read by a real judge, faces found by a real detector, test material kept apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from insighttok_ref.data.build import TrainingData, build_training_data
from insighttok_ref.data.fonts import fonts, package_file, words
from insighttok_ref.data.options import DataOptions
from insighttok_ref.data.packaged import one_per_kind, rights
from insighttok_ref.data.photos import PHOTOS, photos
from insighttok_ref.data.render_shards import Rendering, split
from insighttok_ref.data.sources import TextSource, gradient, shrunk
from regionloss.data.annotate.pictures import Annotated
from regionloss.data.batches.batch import Sample
from regionloss.data.batches.loader import BatchLoader
from regionloss.data.batches.random_streams import stream
from regionloss.data.sidecars.sidecar import read_sidecar
from regionloss.data.words.render import TextRenderer, ink
from regionloss.detectors.given import GivenDetector
from regionloss.detectors.whole_image import WholeImageDetector
from regionloss.errors import InputError, PluginError
from regionloss.evaluation.metrics import exact
from regionloss.hooks.catalogue import catalogue
from regionloss.regions import Regions

FLIP_PAIRS = {"face": ((0, 1), (3, 4))}
SOURCES = {
    "text": {"render": {}, "share": 0.7, "test": 30},
    "face": {"packaged": "face", "share": 0.15, "test": 4},
    "photo": {"packaged": "photo", "share": 0.15},
}


def data(*names: str, detectors: dict[str, object] | None = None, **sources: object) -> TrainingData:
    """Return the named ones of the sources, and others."""
    chosen = {name: SOURCES[name] for name in names} | sources
    options = DataOptions(image_size=64, workers=0, epoch=64, sources=chosen)
    return build_training_data(options, detectors=detectors, flip_pairs=FLIP_PAIRS)


def batches(made: TrainingData, seed: int = 0, size: int = 4) -> BatchLoader:
    return made.batches(None, seed=seed, batch_size=size)


def samples(made: TrainingData, count: int) -> list[Sample]:
    loader = batches(made)
    return [loader.data.at(position) for position in range(count)]


def test_every_font_draws_every_letter_differently():
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    assert len(fonts()) == 21
    for font in fonts():
        drawn = {(m := ink(str(font), 24, letter)).tobytes() + bytes(m.size) for letter in alphabet}
        assert len(drawn) >= len(alphabet) - 2, font


def test_words_of_training_and_testing_are_all_the_words_and_have_none_in_common():
    parts = split(words(), "words")
    assert len(words()) == 2048
    assert sorted(parts["train"] + parts["test"]) == sorted(words())
    assert len(parts["test"]) == round(0.15 * 2048)


def test_words_are_kept_for_the_test_where_there_is_one_and_all_are_drawn_where_there_is_none():
    parts = split(words(), "words")
    for test, known in ((30, parts["train"]), (0, words())):
        source = data(text={"render": {}, "test": test}).opened["text"].train(64, 0)
        assert set(source.renderer.words) == set(known)
    with pytest.raises(InputError, match=r"words: expected 4 or more, of which some are kept for the test, got 3"):
        split(["a", "b", "c"], "words")


def test_grounds_of_the_user_s_are_kept_for_the_test_too(tmp_path: Path):
    for shade in range(8):
        Image.new("RGB", (80, 80), (30 * shade, 0, 0)).save(tmp_path / f"{shade}.png")
    rendering = Rendering(64, grounds=tmp_path)
    shades = {
        use: {ground.getpixel((0, 0)) for ground in rendering.source(use=use).grounds} for use in ("", "train", "test")
    }
    assert shades["train"] | shades["test"] == shades[""]
    assert not shades["train"] & shades["test"]


def test_photographs_are_there_with_their_rights_and_none_serves_two_uses():
    assert len({photo.file for photo in PHOTOS}) == len(PHOTOS)
    for photo in PHOTOS:
        image = photo.open()
        assert image.mode == "RGB"
        assert min(image.size) >= 300
        assert photo.rights
    assert photos("train")
    assert len(rights()) == len(PHOTOS) + 6


def test_a_package_that_is_missing_is_named_with_what_to_do():
    with pytest.raises(PluginError, match=r"no-such-fonts: expected the file .* pip install 'regionloss\[ref\]'"):
        package_file("no_such_fonts", "files/a.ttf")


def test_the_judge_reads_nearly_all_test_words():
    """Legible is what a reader reads: PP-OCRv6 on the originals, capitals included."""
    batch = data("text").test["text"]
    judge = catalogue().build("judge", "text/ppocr-v6", {})
    regions = batch.regions["text"]
    read = [reading.text for reading in judge.judge(batch.images, regions)]
    assert regions.texts is not None
    assert len(read) >= 50
    assert sum(map(exact, read, regions.texts)) / len(read) >= 0.93


def test_test_images_do_not_depend_on_the_seed_of_training_and_training_images_do():
    first, second = data("text"), data("text")
    assert torch.equal(first.test["text"].images, second.test["text"].images)
    assert not torch.equal(batches(first, 0).batch(0).images, batches(second, 1).batch(0).images)


def test_a_fresh_build_goes_on_where_another_stopped():
    first, second = (batches(data("text", "face", "photo"), 3, 6) for _ in range(2))
    for step in range(4):
        first.batch(step)
    resumed, unbroken = second.batch(4), first.batch(4)
    assert torch.equal(resumed.images, unbroken.images)
    assert resumed.regions["text"].texts == unbroken.regions["text"].texts


def test_an_epoch_is_drawn_once_whichever_phase_asks_and_its_samples_come_back_in_another_order():
    made = data("text", "photo")
    first = samples(made, 128)
    assert all(one is other for one, other in zip(first, samples(made, 128), strict=True))
    assert {id(sample) for sample in first[:64]} == {id(sample) for sample in first[64:]}
    assert [id(sample) for sample in first[:64]] != [id(sample) for sample in first[64:]]


def test_the_shares_are_the_sources_own_unless_a_phase_says_others():
    drawn = [sample.source.partition("/")[0] for sample in samples(data("text", "face", "photo"), 64)]
    assert drawn.count("text") > 32 > drawn.count("photo") > 0
    only = data("face", photo={"packaged": "photo"}, text={"render": {}, "share": 0})
    assert {sample.source.partition("/")[0] for sample in samples(only, 64)} == {"face", "photo"}
    said = only.batches({"text": 1.0}, seed=0, batch_size=4)
    assert {source.partition("/")[0] for source in said.batch(0).sources} == {"text"}


def test_rendered_images_are_not_said_to_have_been_searched_for_faces():
    sample = next(s for s in samples(data("text", "face", "photo"), 60) if s.source.startswith("text/"))
    assert list(sample.regions) == ["text"]


def test_a_face_s_test_needs_a_term_that_looks_for_faces():
    made = data("text", "face")
    assert list(made.test) == ["text"]
    assert made.notes == ("data.sources.face.test: left out, since no term looks for faces.",)


def test_packaged_photographs_are_tested_on_others():
    made = data(photo={"packaged": "photo", "test": 12})
    tested = {source.partition("/")[2] for source in made.test["photo"].sources}
    assert tested <= {photo.name for photo in photos("test")}
    assert not tested & {sample.source.partition("/")[2] for sample in samples(made, 64)}


def test_one_detector_of_each_kind_looks_and_whole_images_need_none():
    first, second = (GivenDetector([[0.0, 0.0, 0.5, 0.5]], kind="face") for _ in range(2))
    chosen = one_per_kind({"whole": WholeImageDetector(), "first": first, "second": second})
    assert chosen == {"first": first}


def test_gradients_run_from_one_colour_to_another_without_corners():
    image = np.asarray(gradient(64, stream(0, "gradient"))).astype(int)
    steps = np.abs(np.diff(image, axis=0)).max(), np.abs(np.diff(image, axis=1)).max()
    assert max(steps) <= 8
    assert np.ptp(image, axis=(0, 1)).max() > 20


def test_shrinking_keeps_regions_in_place():
    image = Image.new("RGB", (400, 200))
    image.paste((255, 0, 0), (100, 40, 300, 160))
    box = torch.tensor([[100.0, 40.0, 300.0, 160.0]])
    small = shrunk(Annotated("p", image, {"sign": Regions("sign", box, torch.zeros(1).long(), (200, 400), 1)}), 50)
    assert small.image.size == (100, 50)
    assert small.regions["sign"].boxes.tolist() == [[25, 10, 75, 40]]
    assert shrunk(small, 50) is small


def test_a_sample_s_pixels_are_its_own():
    source = TextSource(TextRenderer(fonts(), words()), [photos("train")[0].open()], 64, 0)
    first = source.sample(5)
    first.pixels.zero_()
    assert source.sample(5).pixels.any()


@pytest.fixture
def face_detector(weights: Callable[[str], Path]) -> object:
    for name in ("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet"):
        weights(name)
    return catalogue().build("detector", "face/mtcnn", {})


@pytest.mark.weights
def test_faces_are_found_once_and_carried_into_every_crop(face_detector: object):
    made = data("face", detectors={"face": face_detector})
    batch = batches(made, size=16).batch(0)
    faces = batch.regions["face"]
    assert len(faces) >= 14
    assert faces.keypoints is not None
    eyes, mouth = faces.keypoints[:, :2], faces.keypoints[:, 3:]
    assert (eyes[:, 0, 0] < eyes[:, 1, 0]).all(), "the left eye is on the left, mirrored or not"
    assert (mouth[:, 0, 0] < mouth[:, 1, 0]).all()
    assert (eyes[..., 1].mean(1) < mouth[..., 1].mean(1)).all()
    inside = (faces.keypoints > -1).all() & (faces.keypoints < 65).all()
    assert inside
    again = face_detector.detect(interpolate(batch.images, scale_factor=4, mode="bicubic").clamp(-1, 1))
    matches = [(i, (again.image_index == n).nonzero()) for i, n in enumerate(faces.image_index)]
    found = [(faces.keypoints[i], again.keypoints[j[0, 0]] / 4) for i, j in matches if len(j) == 1]
    assert len(found) >= 10
    errors = torch.stack([(carried - seen).norm(dim=-1).mean() for carried, seen in found])
    assert errors.median() < 1.0, "carried keypoints, against those found anew in the crop"
    test = made.test["face"]
    assert len(test.regions["face"]) == 4


@pytest.mark.weights
def test_the_user_s_folder_is_annotated_split_and_its_bad_files_are_named(tmp_path: Path, face_detector: object):
    photo = next(p for p in PHOTOS if p.name == "astronaut").open()
    for i in range(3):
        photo.resize((400 + 40 * i, 400 + 40 * i)).save(tmp_path / f"p{i}.png")
    (tmp_path / "bad.jpg").write_bytes(b"no")
    mine = {"images": str(tmp_path), "annotate": True, "test": 4}
    options = DataOptions(image_size=64, workers=0, epoch=64, sources={"mine": mine})
    made = build_training_data(options, detectors={"face": face_detector}, keep=tmp_path / "run")
    assert "3 images used, 1 of them for testing only" in made.notes[0]
    assert any("bad.jpg" in note for note in made.notes)
    assert len(list(read_sidecar(str(tmp_path / "run" / "mine.regions.parquet")).rows())) == 3
    batch = batches(made, size=12).batch(0)
    assert len(set(batch.sources)) == 2
    assert len(batch.regions["face"]) >= 6
    held_out = set(made.test["mine"].sources)
    assert len(held_out) == 1
    assert not held_out & {sample.source for sample in samples(made, 64)}


def test_a_folder_without_two_readable_images_is_refused(tmp_path: Path):
    (tmp_path / "bad.jpg").write_bytes(b"no")
    for test, wanted in ((4, "two images"), (0, "one image")):
        with pytest.raises(InputError, match=rf"^data\.sources\.mine: .*{wanted} at least, got 0\. .*bad\.jpg"):
            data(mine={"images": str(tmp_path), "annotate": True, "test": test})
