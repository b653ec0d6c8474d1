"""What a page shows is run: every fenced block, every link, every docstring's example, every generated page."""

from __future__ import annotations

import doctest
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from docs.generator.__main__ import pages
from regionloss.cli.main import COMMANDS
from tests.docs.blocks import Runner, blocks_of

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "plugins").glob("*/README.md"),
        ROOT / "recipes" / "README.md",
        *(ROOT / "studies").rglob("*.md"),
    ]
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=name_of)
def test_every_block_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if '.save("photo.png")' not in page.read_text(encoding="utf-8"):  # else the page makes it
        draw_photo(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    runner = Runner(page, tmp_path)
    for block in blocks_of(page):
        runner.run(block)
    if page.name == "README.md" and page.parent == ROOT:  # the first example meets a word and a face
        counts = {name: int(value) for name, value in runner.names["out"].logs.items() if name.endswith("_count")}
        assert counts == {"region/text_count": 1, "region/face_count": 1}


def draw_photo(path: Path) -> None:
    """Save what the pages call photo.png: a face and a word."""
    from PIL import Image, ImageDraw
    from skimage.data import astronaut

    image = Image.fromarray(astronaut()).resize((256, 256))
    ImageDraw.Draw(image).text((10, 205), "COLLINS", fill="white", font_size=36)
    image.save(path)


def test_a_wrong_block_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    cases = {
        "```python\nassert 1 == 2\n```": AssertionError,
        "```console\nregionloss check nowhere\n```": AssertionError,
        "```console\npip install something\n```": AssertionError,
        "```yaml\nversion: 1\nterms: {text: {use: nothing}}\n```": AssertionError,
        "```cobol\nSTOP RUN\n```": pytest.fail.Exception,
    }
    for text, error in cases.items():
        page.write_text(text, encoding="utf-8")
        with pytest.raises(error):
            Runner(page, tmp_path).run(blocks_of(page)[0])
    page.write_text("<!-- not run: a cluster -->\n```python\n1 / 0\n```\n", encoding="utf-8")
    Runner(page, tmp_path).run(blocks_of(page)[0])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in LINK.findall(text):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        goal = (page.parent / path).resolve() if path else page
        assert goal.exists(), f"{name_of(page)}: {link}"
        assert not anchor or anchor in anchors(goal), f"{name_of(page)}: {link}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_found_from_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        if page.name != "README.md":
            assert f"({page.relative_to(ROOT / 'docs').as_posix()})" in index


def test_generated_pages_are_up_to_date() -> None:
    for path, text in pages().items():
        assert path.read_text(encoding="utf-8") == text, "run python -m docs.generator"


def keys_below(options: object) -> Iterator[str]:
    """Yield the keys of a recipe's options, to their depth."""
    if isinstance(options, dict):
        for key, value in options.items():
            yield key
            yield from keys_below(value)
    elif isinstance(options, list):
        for value in options:
            yield from keys_below(value)


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").glob("*.yaml")), ids=name_of)
def test_the_recipe_page_has_every_key_that_a_shipped_recipe_uses(recipe: Path) -> None:
    read = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    chosen = {*read["terms"], *read["trainer"]["options"]["data"].get("sources", {})}
    chosen |= {*read["trainer"]["options"].get("evaluation", {}).get("judges", {})}
    chosen |= {arm for phase in read["trainer"]["options"].get("phases", ()) for arm in phase.get("arms", {})}
    page = (ROOT / "docs" / "reference" / "recipe.md").read_text(encoding="utf-8")
    keys = set(keys_below(read)) - chosen
    assert {"steps", "terms"} <= keys
    assert not [key for key in keys if f"| `{key}` | " not in page]


def test_the_recipe_page_says_type_default_and_meaning() -> None:
    page = (ROOT / "docs" / "reference" / "recipe.md").read_text(encoding="utf-8")
    for row in (
        "| `zero_stage` | whole number | `1` | What DeepSpeed shards",
        "| `from` | path | `null` | Folder of a Llama",
        "| `from` | path | `null` | The folder or the file",
        "| `listen_from` | whole number at least 0 | `0` | First step at which the tokenizer hears it",
        "| `term_weights` | mapping: number at least 0 or keys of `terms.NAME.weight` | `{}` | Weights of terms",
        "| `sources` | mapping: keys of `trainer.options.data.sources.NAME` |  | Sources by the name",
    ):
        assert row in page
    empty = [line for line in page.splitlines() if re.match(r"\| `\w+` \|", line) and line.endswith("|  |")]
    assert not empty


def test_the_command_line_page_has_every_command_of_ours() -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    build = ("calibrate", "checkpoint convert", "data render", "generate", "launch", "measure", "reconstruct")
    for name in (*COMMANDS, *build, "plugin new", "regions show", "weights fetch"):
        assert re.search(rf"^###? `regionloss {name}[` ]", page, re.MULTILINE), name
    for option in ("--tokenizer", "--with", "--checkpoint"):
        assert f"| `{option}" in page


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("InputSpec", ["channels: str = 'RGB'", "std: tuple[float, ...] = (1.0,)", "| `mean` | Subtracted"]),
        ("load_state_dict", ["key: str = ''", "strip_prefix: str = ''", "-> dict[str, Tensor]"]),
        ("LossOutput", ["logs: dict[str, Tensor] = {}"]),
        ("LossTerms", [".from_names(weights: Mapping[str, float | WeightSchedule | None]"]),
        ("Detector", ["`kind: str`", "`.detect(images: Tensor) -> Regions`: Return the regions"]),
        ("RegionExtractor", ["`.__call__(images: Tensor, regions: Regions) -> Tensor`"]),
        ("Distance", ["`.__call__(features: Features, target_features: Features) -> Tensor`"]),
        ("Weighting", ["`.__call__(regions: Regions) -> Tensor`"]),
        ("FeatureBackbone", ["*,\n    out_indices: Sequence[int] | None = None", "`.levels(network"]),
        ("Judge", ["`.judge(images: Tensor, regions: Regions) -> list[Reading] | list[Embedding]`"]),
        ("RegionFinder", ["*detectors: Any,\n    images: str | int | None = None"]),
    ],
)
def test_the_api_page_says_how_names_are_called(name: str, said: list[str]) -> None:
    page = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    section = page.split(f"### `{name}`\n")[1].split("\n##")[0]
    for text in said:
        assert text in section
    assert " at 0x" not in page


#: Of studies/text_weight, and of the quickstart's face term.
MEASURED = {"text": 0.0025, "face": 0.02}


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_where_newcomers_begin_the_picture_is_made_first_and_the_weights_were_measured(
    page: str,
) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.index('.save("photo.png")') < min(
        text.index(use) for use in ('read_image("photo.png")', "detect photo.png") if use in text
    )
    assert f'from_names({{"text": {MEASURED["text"]}, "face": {MEASURED["face"]}}})' in text
    for name, weight in re.findall(r"use: (text|face)/packaged, weight: ([\d.]+)", text):
        assert float(weight) == MEASURED[name]


WEIGHT = re.compile(
    r"""\b(text|face)(?:/packaged)?(?:['"]: |, weight: |=)(\d[\d.]*\d|\d)(?=[,})`'" ]|$)""", re.MULTILINE
)


def test_weights_that_are_shown_for_packaged_networks_are_near_those_that_were_measured() -> None:
    """1.0 is for the paper's own networks; with the packaged ones it drowns a host's loss."""
    files = [ROOT / "README.md", *ROOT.glob("plugins/*/README.md")]
    for room in ("regionloss", "examples", "benchmarks", "docs", "recipes", "plugins/*/src"):
        files += [file for file in ROOT.glob(f"{room}/**/*") if file.suffix in (".py", ".md", ".yaml", ".tmpl")]
    seen = []
    for file in files:
        for name, weight in WEIGHT.findall(file.read_text(encoding="utf-8")):
            assert float(weight) <= 3 * MEASURED[name], f"{file}: {name} {weight}"
            seen.append(file.name)
    assert {"any-loss.md", "tutorial.md", "terms.py", "wrap.py", "quickstart.yaml"} <= set(seen)


def test_the_readme_names_every_room() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rooms = {path.parent for path in (ROOT / "regionloss").glob("*/__init__.py")}
    assert not [room.name for room in rooms if f"`regionloss/{room.name}/" not in text]
    inner = {path.parent for path in (ROOT / "regionloss" / "data").glob("*/__init__.py")}
    assert not [room.name for room in inner if f"`regionloss/data/{room.name}/`" not in text]
    for path in re.findall(
        r"`((?:regionloss|insighttok_ref|plugins|recipes|examples|benchmarks|studies|docs|tests)/[\w./-]*)`", text
    ):
        assert (ROOT / path).exists(), path


def test_where_would_you_change_names_places_that_are_there() -> None:
    """A path stands whole, or, without a slash, beside the one before it; a name of code is in a file of its row."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (.+?) \| (.+) \|$", text.split("## Where would you change")[1].split("\n## ")[0], re.MULTILINE
    )
    assert len(rows) == 1 + 11  # the head, then the questions
    for question, answer in rows[1:]:
        files: list[Path] = []
        names = []
        for word in (word for word in re.findall(r"`([^`]+)`", answer) if " " not in word):
            if "/" not in word and "." not in word and word != "Makefile":
                names.append(word)
                continue
            folders = [ROOT, *files, *(file.parent for file in files)]
            near = [folder / word for folder in folders]
            found = [path for path in near if path.exists()]
            assert found, f"{question}: {word}"
            files.append(found[0])
        held = "".join(path.read_text(encoding="utf-8") for path in files if path.is_file())
        assert not [name for name in names if name not in held], question


def test_the_readme_names_every_target_that_it_tells_to_type() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for target in re.findall(r"\bmake (demo|test|lint|lock|benchmarks|wheels)\b", page.read_text(encoding="utf-8")):
            assert f"\n{target}:" in makefile


def modules_with_examples() -> list[str]:
    folders = [(ROOT, ROOT / "regionloss"), (ROOT, ROOT / "insighttok_ref")]
    folders += [(src, src) for src in (ROOT / "plugins").glob("*/src")]
    return sorted(
        ".".join(path.relative_to(top).with_suffix("").parts).removesuffix(".__init__")
        for top, folder in folders
        for path in folder.rglob("*.py")
        if ">>> " in path.read_text(encoding="utf-8")
    )


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_in_docstrings_run(name: str) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0


def test_python_can_read_every_example_script() -> None:
    for script in [*(ROOT / "examples").glob("*.py"), *(ROOT / "docs").glob("*.py")]:
        compile(script.read_text(encoding="utf-8"), str(script), "exec")
    assert sys.version_info >= (3, 11)
