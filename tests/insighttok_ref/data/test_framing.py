"""How pictures are cut and which regions pass, as a recipe says it; unsaid, as it was before a recipe could."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch
import yaml
from PIL import Image, ImageDraw
from pydantic import ValidationError

from insighttok_ref.data.options import FILTERS, DataOptions, SourceOptions
from insighttok_ref.data.sources import PictureSource
from regionloss.data.annotate import Annotated
from regionloss.data.images import Augment
from regionloss.recipe import load_recipe
from regionloss.recipe.resolved import resolved
from regionloss.regions import Regions
from tests.sources import ROOT

SIZE = 16


def picture() -> Annotated:
    """Return 40 x 20 pixels, red, a face of 6 pixels drawn in white."""
    image = Image.new("RGB", (40, 20), (200, 0, 0))
    ImageDraw.Draw(image).rectangle((22, 10, 27, 15), fill="white")
    boxes = torch.tensor([[22.0, 10.0, 28.0, 16.0]])
    return Annotated("one", image, {"face": Regions.single("face", boxes, (20, 40))})


def sample(**options: Any) -> Any:
    return PictureSource("x", [picture()], SIZE, 3, augment=Augment(**{"flip": 0.0, **options})).sample(5)


def test_the_middle_and_the_whole_of_a_picture() -> None:
    middle, whole = sample(crop="center"), sample(crop="pad")
    assert middle.pixels.shape == whole.pixels.shape == (3, SIZE, SIZE)
    # 20 x 20 pixels from x = 10 on, at 0.8; 40 x 40 with grey above and below, at 0.4
    assert middle.regions["face"].boxes.tolist() == [pytest.approx([9.6, 8, 14.4, 12.8])]
    assert whole.regions["face"].boxes.tolist() == [pytest.approx([8.8, 8, 11.2, 10.4])]
    assert whole.pixels[:, 0, 0].tolist() == [128, 128, 128]
    assert whole.pixels[:, 8, 2].tolist() == [200, 0, 0]


def test_a_crop_is_laid_around_a_region_at_its_scale() -> None:
    boxes = sample(around=1.0, scale=(2.0, 2.0)).regions["face"].boxes[0].tolist()
    assert boxes[2] - boxes[0] == pytest.approx(SIZE / 2)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"images": "x", "annotate": True}, {"area": (0.1, 1.0), "around": 0.7, "scale": (1.2, 3.0), "jitter": 0.2}),
        ({"packaged": "face"}, {"area": (0.1, 1.0), "around": 1.0, "scale": (1.2, 2.2), "jitter": 0.2}),
        ({"packaged": "photo"}, {"area": (0.1, 1.0), "around": 0.0, "jitter": 0.2}),
    ],
)
def test_a_framing_of_their_own_is_said_where_it_is_not_typed(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    options = SourceOptions.model_validate(given)
    assert asdict(options.augment) == {**asdict(Augment()), **wanted}
    assert SourceOptions.model_validate(options.model_dump()) == options  # as a resolved recipe says it
    chosen = SourceOptions.model_validate({**given, "augment": {"crop": "center"}})
    assert chosen.augment == Augment(crop="center")


@pytest.mark.parametrize("given", [{"images": "x"}, {"render": {}}, {"packaged": "text"}])
def test_other_sources_have_the_data_s_or_none(given: dict[str, Any]) -> None:
    assert SourceOptions.model_validate(given).augment is None
    if "images" not in given:
        with pytest.raises(ValidationError, match="got augment beside"):
            SourceOptions.model_validate({**given, "augment": {}})


@pytest.mark.parametrize("packaged", [["face"], {"a": 1}, 3, "dogs"])
def test_what_is_no_source_is_a_sentence(packaged: Any) -> None:
    with pytest.raises(ValidationError, match="packaged"):
        SourceOptions.model_validate({"packaged": packaged})


def test_the_paper_s_recipe_spells_out_the_defaults() -> None:
    """Those who began a run with an earlier recipe go on with this one."""
    written = yaml.safe_load((ROOT / "recipes" / "insighttok.yaml").read_text())["trainer"]["options"]["data"]
    assert {"augment", "filters"} < written.keys()
    unsaid = {name: value for name, value in written.items() if name not in ("augment", "filters")}
    assert DataOptions.model_validate(written) == DataOptions.model_validate(unsaid)
    assert DataOptions.model_validate(unsaid).filters == FILTERS


def test_show_says_every_framing_and_every_filter() -> None:
    data = resolved(load_recipe("insighttok-miniature"))["recipe"]["trainer"]["options"]["data"]
    assert data["sources"]["faces"]["augment"]["scale"] == [1.2, 2.2]
    assert data["filters"]["text"]["min_score"] == 0.0
    assert data["augment"]["crop"] == "random"
