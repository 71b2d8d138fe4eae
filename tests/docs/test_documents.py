"""What the documents say is true: their Python runs, their commands parse, their links lead somewhere."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import PIL.Image
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from limner.cli import app, run
from limner.cli.kinds import HOMES, kind
from limner.core import spec
from limner.core.errors import UserError
from limner.core.pixels import Image, save_png
from limner.core.spec import build, catalog, load_user_file
from limner.models.base import Model
from limner.recipes import base as recipe_book
from limner.recipes.base import Facts, plan, recipes

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^# (\w+\.py)\n")
ASSIGNED = re.compile(r"^\w+=\S*$")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
RESULTS = re.compile(r"<!-- results:(\w+) -->(.*?)<!-- /results -->", re.DOTALL)
INLINE = re.compile(r"`([^`\n]*-o [^`\n]*)`")
PLACEHOLDERS = ("…", "option=value", "选项=值")
COSTS = re.compile(r"^\| (\w+) \|((?: [\d.]+ / \d+ \|){4})$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return FENCE.sub("", self.text)

    def blocks(self, language: str) -> list[str]:
        """The bodies of the fenced blocks in a language, in order."""
        return [body for found, body in FENCE.findall(self.text) if found == language]

    def files(self) -> dict[str, str]:
        """Blocks of Python that begin with `# name.py`, by that name."""
        return {found[1]: body for body in self.blocks("python") if (found := NAMED.match(body))}

    def commands(self, program: str) -> list[list[str]]:
        """The arguments of each `program …` line, without comments and settings of the environment."""
        whole = "".join(self.blocks("sh")).replace("\\\n", " ")
        lines = [shlex.split(line, comments=True) for line in whole.splitlines()]
        bare = [words[next((i for i, w in enumerate(words) if not ASSIGNED.match(w)), 0) :] for words in lines]
        return [words[1:] for words in bare if words and words[0] == program]

    def anchors(self) -> set[str]:
        """What can follow a # in a link to this page."""
        titles = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


README, CHINESE = Page(ROOT / "README.md"), Page(ROOT / "README.zh-CN.md")
DOCS = [Page(path) for path in sorted((ROOT / "docs").rglob("*.md"))]
SHELVES = {
    "training.md": ("Optimizer", "Augment", "Curve", "Latent", "recipes"),
    "objectives.md": ("Objective", "Game", "Penalty", "Distance", "Likelihood", "Sparsity"),
    "evaluation.md": ("Metric", "Extractor"),
    "climbing.md": ("Goal", "Ascent"),
    "restoring.md": ("Operator",),
}

each_page = pytest.mark.parametrize("page", [README, CHINESE, *DOCS], ids=lambda page: page.path.name)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def own_classes() -> Iterator[None]:
    """What a document registers is gone afterwards; what the library registers meanwhile stays."""
    yield
    for shelf in (spec._classes, recipe_book._recipes):
        for name, thing in list(shelf.items()):
            if not thing.__module__.startswith("limner."):
                del shelf[name]


@each_page
@pytest.mark.usefixtures("own_classes")
def test_python_runs(page: Page, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Block after block in one namespace, as for a reader who copies them; files are loaded as by --with."""
    write_files(page, desk)
    module = types.ModuleType(f"blocks_of_{re.sub(r'[^a-z]', '_', page.path.stem.lower())}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for body in page.blocks("python"):
        if found := NAMED.match(body):
            load_user_file(found[1])
        else:
            exec(compile(body, f"{page.path.name}: {body.splitlines()[0]}", "exec"), module.__dict__)


@each_page
@pytest.mark.usefixtures("own_classes")
def test_commands_parse(page: Page, desk: Path) -> None:
    """Every option exists and takes what it is given; so do recipes, -o assignments and names to list."""
    write_files(page, desk)
    for words in page.commands("limner"):
        verb, said = parsed(words)
        for file in said.get("files", ()):
            load_user_file(file)
        if verb == "train":
            facts = Facts(Image(1, 28, 28), 10_000, 10, "cpu")
            plan(said["recipe"] or "default", facts, said["assignments"])
        if verb == "list" and said["what"]:
            assert said["what"] in {*HOMES, "recipes"} | {name for k in HOMES for name in catalog(kind(k))}, words


@each_page
def test_assignments_in_the_text_work(page: Page) -> None:
    """Each `-o option=value` that a sentence or a table recommends works, with a recipe of the page or the default."""
    facts = Facts(Image(1, 28, 28), 10_000, 10, "cpu")
    known = {parsed(words)[1].get("recipe") for words in page.commands("limner")} & recipes().keys() | {"default"}
    for said in INLINE.findall(page.prose):
        words = shlex.split(said)
        if not any(placeholder in said for placeholder in PLACEHOLDERS):
            given = tuple(w for w, before in zip(words, ["", *words], strict=False) if before == "-o")
            assert any(accepts(name, facts, given) for name in known), said


def accepts(recipe: str, facts: Facts, assignments: tuple[str, ...]) -> bool:
    try:
        plan(recipe, facts, assignments)
    except UserError:
        return False
    return True


@pytest.mark.parametrize("line", ["train digits --out r --fro 2m", "train digits", "sample r -n 8 --seed x"])
def test_a_mistyped_command_is_found(line: str) -> None:
    with pytest.raises(click.UsageError):
        parsed(line.split())


def parsed(words: list[str]) -> tuple[str, dict[str, Any]]:
    """The verb and its options as click reads them. Raises click's errors."""
    with app.make_context("limner", list(words)) as context:
        verb, command, rest = app.resolve_command(context, list(words))
        assert verb is not None and command is not None
        return verb, command.make_context(verb, rest, parent=context).params


def write_files(page: Page, folder: Path) -> None:
    """The files that the page shows, and the README's, to which others refer."""
    for name, body in (README.files() | page.files()).items():
        (folder / name).write_text(body, encoding="utf-8")


@pytest.mark.parametrize("page", [README, CHINESE], ids=lambda page: page.path.name)
def test_make_targets_exist(page: Page) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [words[0] for words in page.commands("make")]
    assert targets[:2] == ["demo", "test"]
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@each_page
def test_links_lead_somewhere(page: Page) -> None:
    for link in LINK.findall(page.prose):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        path = page.path.parent / file if file else page.path
        assert path.exists(), f"{page.path.name}: {link} leads nowhere"
        assert not anchor or anchor in Page(path).anchors(), f"{page.path.name}: {link} names no heading"


def test_both_languages_say_the_same() -> None:
    """The same commands, the same code, the same pictures, the same numbers measured."""
    for program in ("make", "limner"):
        assert README.commands(program) == CHINESE.commands(program)
    ours, theirs = ([ast.dump(ast.parse(body)) for body in page.blocks("python")] for page in (README, CHINESE))
    assert ours == theirs
    ours, theirs = ([link for link in LINK.findall(page.prose) if link.endswith(".png")] for page in (README, CHINESE))
    assert ours == theirs
    ours, theirs = ({name: re.findall(r"\d[\d.,]*", body) for name, body in RESULTS.findall(page.text)}
                    for page in (README, CHINESE))  # fmt: skip
    assert ours == theirs and ours.keys() == {"quality", "speed", "mixtures"}


@pytest.mark.parametrize(("name", "shelves"), SHELVES.items(), ids=list(SHELVES))
def test_everything_in_the_catalogue_is_described(name: str, shelves: tuple[str, ...]) -> None:
    pages = [ROOT / "docs" / name, ROOT / "docs" / "restoring.md", *sorted((ROOT / "docs" / "systems").glob("*.md"))]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    for shelf in shelves:
        for thing in recipes() if shelf == "recipes" else catalog(kind(shelf)):
            said = re.search(rf"`{thing}[`(]|--recipe {thing}\b", text)
            assert said, f"neither docs/{name} nor docs/systems says what {thing} is"


def test_costs_are_those_of_the_networks() -> None:
    """The table of docs/models.md: millions of parameters / of multiplications for one image."""
    rows = dict(COSTS.findall((ROOT / "docs" / "models.md").read_text(encoding="utf-8")))
    paired = {name.removesuffix("Generator") for name in catalog(kind("Generator"))}
    assert set(rows) == {family for family in paired if f"{family}Critic" in catalog(kind("Critic"))}
    images = Image(1, 28, 28), Image(3, 64, 64)
    for family, row in rows.items():
        true = [cost(f"{family}{role}", image) for image in images for role in ("Generator", "Critic")]
        assert row == "".join(f" {cell} |" for cell in true), f"it should read: | {family} | {' | '.join(true)} |"


def cost(name: str, image: Image) -> str:
    """`parameters / multiplications` in millions."""
    net = build(name, Model, image=image).eval()
    given = (1, net.latent.dim) if name.endswith("Generator") else (1, image.channels, image.height, image.width)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.zeros(given))
    return f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} / {counter.get_total_flops() / 2e6:.0f}"


@each_page
def test_pages_are_plain(page: Page) -> None:
    """Lines that fit, no path of a machine, no fence left open."""
    for number, line in enumerate(page.text.splitlines(), 1):
        assert line.startswith("|") or len(line) <= 130, f"{page.path.name}:{number} has {len(line)} characters"
    assert not re.search(r"(?<![\w.])/(?:work|tmp|home|root)/", page.text)
    assert len(re.findall(r"^```", page.text, re.MULTILINE)) == 2 * len(FENCE.findall(page.text))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", [README, *DOCS], ids=lambda page: page.path.name)
@pytest.mark.usefixtures("own_classes")
def test_commands_work(page: Page, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of a page, in order, on made-up photographs and with budgets cut to seconds."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))  # for the processes of --devices
    write_files(page, desk)
    made_up_photographs(desk / "photos")
    shutil.make_archive("photos", "zip", desk, "photos")
    made_up_pairs(desk)
    shutil.copy("photos/test/rose/0.png", "other.png")
    for group, flower in (("thick", "rose"), ("thin", "tulip")):
        shutil.copytree(desk / "photos" / "train" / flower, desk / group)
    trained = [words for words in page.commands("limner") if words[0] == "train" and "--resume" not in words]
    made = {words[words.index("--out") + 1] for words in trained}
    for name, data in (("runs/demo", "digits"), ("runs/photos", "photos/")):
        if name not in made:
            assert run(shortened(["train", data, "--out", name])) == 0
    for words in page.commands("limner"):
        waits_for_people = words[0] == "judge"
        if not {"--nodes", "DATASETS"} & set(words) and not waits_for_people:
            assert run(shortened(words)) == 0, " ".join(words)


def shortened(words: list[str]) -> list[str]:
    """The same command with a budget of a few hundred images, on a CPU, and with few features."""
    budget = {"--for", "--images"}
    words = [w for w, before in zip(words, ["", *words], strict=False) if budget.isdisjoint((w, before))]
    match words[0]:
        case "list":
            return words
        case "baseline":
            return [*words, "--most", "1000"]
        case "train":
            words += ["--images", "512" if "--resume" in words else "256"]
        case "tune":
            words += ["--images", "256", "--most", "2"]
        case "dream" | "invert" | "edit":
            words += ["--steps", "3", "--starts", "3"]
        case "restore":
            words += ["--most", "1", "--steps", "3", "--split", "test"]
        case "recognise":
            words += ["--most", "300"]
        case "augment":
            words += ["--steps", "5", "--draws", "2"]
        case "evaluate":
            words += ["-n", "200", "--features", "random"]
        case _:
            pass
    return [*words, "--device", "cpu"]


def made_up_pairs(folder: Path) -> None:
    """Folders of pictures in two domains, pictures side by side, and portraits with a table of what they show."""
    shutil.copytree(folder / "photos", folder / "edges")
    for name in ("paintings", "drawings", "horses", "zebras", "horse2zebra/trainA", "horse2zebra/trainB"):
        shutil.copytree(folder / "photos" / "train" / "rose", folder / name)
    some = sorted((folder / "photos" / "train" / "tulip").iterdir())
    for k, path in enumerate(some):
        pixels = np.asarray(PIL.Image.open(path))
        save_png(np.concatenate([pixels, pixels], 1), folder / "facades" / f"{k}.png")
    shutil.copytree(folder / "photos" / "train" / "tulip", folder / "faces")
    rows = [f"{path.name},{k % 2},{k % 3 // 2},{20 + k}" for k, path in enumerate(some)]
    (folder / "faces" / "metadata.csv").write_text("\n".join(["file_name,smile,glasses,age", *rows]), encoding="utf-8")


def made_up_photographs(folder: Path) -> None:
    """Two classes in two splits: bright above, bright on the left."""
    rng = np.random.default_rng(0)
    for number in range(240):
        pixels = rng.integers(0, 90, (72, 72, 3), dtype=np.uint8)
        pixels[(slice(36), slice(None)) if number % 2 else (slice(None), slice(36))] += 120
        split, flower = ("test", "train")[number // 2 % 2], ("rose", "tulip")[number % 2]
        save_png(pixels, folder / split / flower / f"{number}.png")
