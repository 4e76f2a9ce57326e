"""The how-tos and READMEs, typed as they stand: each command ends as it should, whatever comes out.

Each page is read in a copy of one project with two models. What a page takes for granted (an experiment, photographs, a
conflict) is made before; what is the reader's own has a value. scripts/manual/typed.py says which blocks are left out.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from baked import TEMPLATE, Project
from command import Lineage
from manual.blocks import blocks
from manual.typed import NOT_TYPED, reason
from photographs import photographs, put
from reader import Reader

PROJECT = TEMPLATE / "{{cookiecutter.project_slug}}"
NAME = "traceable-digits"
ONE, TWO = f"models:/{NAME}/1", f"models:/{NAME}/2"
PAGES = {path.stem: path for path in sorted((PROJECT / "docs").glob("*.md"))}
TYPED = [
    name
    for name, path in PAGES.items()
    if any(block.is_commands and reason(name, block) is None for block in blocks(path))
]


class Page:
    """A reader of one page, who has what the page takes for granted."""

    def __init__(self, reader: Reader, lineage: Lineage) -> None:
        self.reader, self.lineage, self.project = reader, lineage, reader.project
        reader.compares = False
        reader.values = {
            "{{ cookiecutter.project_slug }}": NAME,
            "models:/NAME": f"models:/{NAME}",
            f"models:/{NAME}/3": TWO,
            f"models:/{NAME}/4": ONE,
        }

    @property
    def dataset(self) -> str:
        return self.project.out("preprocess", "data/processed")

    def audits(self) -> None:
        """The models were made since then, with this person, and nobody is asked for consent."""
        self.reader.statuses = {"lineage audit excluded": 1, "lineage audit affected": 2}

    def certificates(self) -> None:
        self.audits()
        self.reader.values |= {"FILE": "../certificate"}

    def diff(self) -> None:
        self._experiment()
        self.reader.values |= {"diff A B": f"diff {ONE} {TWO}", "DIR": "../differing"}

    def drift(self) -> None:
        """Photographs look otherwise than digits."""
        put(self.project.root.parent / "incoming", photographs())
        self.reader.statuses = {"lineage drift models:/NAME@candidate --data": 1}

    def erasure(self) -> None:
        """Who is to be erased has opted out, and a model was made since."""
        tutorial = TEMPLATE / "docs" / "tutorials" / "a-patient-opts-out.md"
        registry = next(block for block in blocks(tutorial) if block.notes.get("file") == "registry.py")
        (self.project.root / "registry.py").write_text("\n".join(registry.lines) + "\n", encoding="utf-8")
        self.project.run("python", "registry.py", "PAT-00023")
        self.project.compose("privacy=registry")
        self.project.dvc("repro")
        self.project.commit("Opt-out")
        self.project.dvc("push", "--quiet")
        self.reader.answers = {"lineage erase PAT-00023 --execute": "yes\n"}
        # a copy has another remote than its .dvc/config names; that one is not looked into, and the answer says so
        self.reader.statuses = {"lineage erase PAT-00023 --execute": 2}

    def after_erasure(self) -> None:
        assert len([*self.project.root.glob("erasures/*/tombstone.json")]) == 1

    def evidence(self) -> None:
        def read_head() -> None:
            said = self.lineage(self.project, "log", "update")
            head = next(word for word in said.split() if re.fullmatch(r"\d+:[0-9a-f]{64}", word))
            self.project.git("clean", "--quiet", "-fd", "--", "log")
            self.reader.values |= {"HEAD...": head, "HEAD": head}

        self.reader.before = {"lineage log update": read_head}

    def experiments(self) -> None:
        self._experiment()
        again = lambda: self.project.dvc("exp", "apply", "dread-tipi")  # noqa: E731
        self.reader.before = {"git add -A": again}

    def merging(self) -> None:
        self.project.git("switch", "--quiet", "--create", "mine", "HEAD~1")
        self.project.dvc("checkout", "--quiet", "--force")
        self.project.compose("train=debug", "train.seed=9")
        self.project.dvc("repro")
        self.project.commit("Mine")
        self.reader.statuses = {"git merge main": 1, "lineage doctor": 1}

    def promotion(self) -> None:
        self.lineage(self.project, "promote", TWO, "--to", "champion")  # what the page then goes back to

    def reproduce(self) -> None:
        self.reader.values |= {"HASH.dir --to ../data": f"{self.dataset} --to ../again", "HASH.dir": self.dataset}

    def settings(self) -> None:
        def edit() -> None:
            self.project.git("checkout", "--quiet", "--", ".")
            path = self.project.root / "conf" / "train" / "default.yaml"
            text = path.read_text()
            assert "\nepochs: 10" in text
            path.write_text(text.replace("\nepochs: 10", "\nepochs: 12"))

        self.reader.before, self.reader.statuses = {"dvc repro": edit}, {"dvc repro": 255}

    def storage(self) -> None:
        self.reader.values |= {"PATH_OR_URL": str(self.project.root.parent / "other-remote")}

    def team(self) -> None:
        root, remote = self.project.root, self.project.remote
        origin = root.parent / f"{NAME}.git"  # a clone is called as the address ends
        origin.symlink_to(self.project.git("remote", "get-url", "origin"))
        clones = root.parent / "clones"
        clones.mkdir()
        self.reader.project = Project(clones, self.project.venv, self.project.environment)
        self.reader.values |= {"URL": str(origin)}

        def point() -> None:
            text = f"['remote \"storage\"']\n    url = {remote}\n"
            (self.reader.project.root / ".dvc" / "config.local").write_text(text)

        self.reader.before = {"rm -rf": lambda: self._inside_another(clones)}
        self.reader.meanwhile = {"dvc pull": point}

    def _inside_another(self, clones: Path) -> None:
        outer = clones / "outer"
        shutil.copytree(self.project.root, outer / NAME, symlinks=True)
        self.reader.project = Project(outer, self.project.venv, self.project.environment)
        self.reader.project.git("init", "--quiet")

    def troubleshooting(self) -> None:
        shutil.rmtree(self.project.remote / "files")  # nothing was pushed yet
        self.reader.statuses = {"lineage doctor": 1}

    def your_data(self) -> None:
        put(self.project.root.parent / "photos", photographs())
        scans = {"2024/a.png": "cat", "2024/b.png": "dog"}
        rows = [f"SCAN-{number},PAT-{number},{label},{path}" for number, (path, label) in enumerate(scans.items())]
        first = next(iter(photographs().values()))
        put(self.project.root.parent / "scans", dict.fromkeys(scans, first))
        (self.project.root / "records.csv").write_text("\n".join(["record_id,subject_id,label,path", *rows]) + "\n")

        def put_aside() -> None:
            self.project.git("stash", "push", "--quiet", "--include-untracked")

        self.reader.before = {"cp -r": put_aside}

    def _experiment(self) -> None:
        self.project.dvc("exp", "run", "--quiet", "--name", "dread-tipi", "-S", "train.seed=8", "-S", "train=debug")
        self.project.git("checkout", "HEAD", "--", "params.yaml", "dvc.lock", "lineage.json")
        self.project.dvc("checkout", "--quiet", "--force")


def typed(reader: Reader, page: Path) -> Iterator[str]:
    """What does not end as it should."""
    for block in blocks(page):
        if block.is_commands and reason(page.stem, block) is None:
            yield from reader.type(block, page)


@pytest.fixture
def reader(project: Project, installed: Project) -> Iterator[Reader]:
    with ExitStack() as servers:
        reader = Reader(project.root, installed, servers)
        reader.project = project
        yield reader


@pytest.mark.long
@pytest.mark.parametrize("name", TYPED)
def test_a_how_to_works_as_it_says(name: str, reader: Reader, lineage: Lineage) -> None:
    page = Page(reader, lineage)
    _done(page, name.replace("-", "_"))
    assert [*typed(reader, PAGES[name])] == []
    _done(page, f"after_{name}")


def _done(page: Page, name: str) -> None:
    method: Callable[[], None] = getattr(page, name, lambda: None)
    method()


@pytest.mark.long
def test_the_readme_leads_to_an_attested_model(installed: Project, lineage: Lineage, tmp_path: Path) -> None:
    """From nothing, with what the README of the template says and nothing else."""
    with ExitStack() as servers:
        reader = Reader(tmp_path, installed, servers)
        assert [*typed(reader, TEMPLATE / "README.md")] == []
        proof = lineage.verify(reader.project, ONE)
        assert (proof.state, proof.link("attestation")["state"]) == ("PASS", "PASS")


@pytest.mark.long
def test_the_readme_of_a_project(reader: Reader, lineage: Lineage) -> None:
    Page(reader, lineage)
    assert [*typed(reader, PROJECT / "README.md")] == []


def test_what_is_left_out_is_there() -> None:
    """A reason for a block that no page has any more is none."""
    pages = [*PAGES.values(), TEMPLATE / "README.md", PROJECT / "README.md"]
    for name, starts in NOT_TYPED.items():
        there = [block for path in pages if path.stem == name for block in blocks(path) if block.is_commands]
        for start in starts:
            assert any(block.typed[0].startswith(start) for block in there), f"{name}: {start}"
