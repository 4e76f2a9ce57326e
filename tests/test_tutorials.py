"""The tutorials of the manual, done as they say: what they say comes out comes out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from aws_standin.container import can_run
from baked import TEMPLATE, Project
from cloud import IMAGE, ROLE, cloud
from command import Lineage
from manual.blocks import LONG, TUTORIALS, differences
from reader import Reader

IN_AWS = {"DATA_BUCKET": "the-data", "JOBS_BUCKET": "the-jobs", "ROLE_ARN": ROLE, "=IMAGE": f"={IMAGE}"}


@pytest.fixture
def reader(tmp_path: Path, installed: Project, lineage: Lineage) -> Iterator[Reader]:
    with ExitStack() as servers:
        yield Reader(tmp_path, installed, servers)


AWS = "to-sagemaker"
ALONE = [
    pytest.param(names, id=names[0], marks=[pytest.mark.long] if {*names} & {*LONG} else [])
    for names in TUTORIALS
    if AWS not in names
]


@pytest.mark.parametrize("names", ALONE)
def test_the_tutorials_work_as_they_say(reader: Reader, names: tuple[str, ...]) -> None:
    for name in names:
        assert [*reader.read(TEMPLATE / "docs" / "tutorials" / f"{name}.md")] == []


@pytest.mark.long
@pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, in which jobs run")
def test_the_tutorial_of_sagemaker_works_as_it_says(reader: Reader, tmp_path: Path) -> None:
    with cloud(tmp_path / "cloud", reader.installed) as running:
        reader.installed = replace(reader.installed, environment=running.project.environment)
        reader.project = replace(reader.project, environment=running.project.environment)
        reader.values = {**IN_AWS, "https://MLFLOW": running.tracking}
        assert [*reader.read(TEMPLATE / "docs" / "tutorials" / f"{AWS}.md")] == []
        assert running.left_the_machine() == ""


def test_all_tutorials_are_done() -> None:
    assert {path.stem for path in (TEMPLATE / "docs" / "tutorials").glob("*.md")} == {*sum(TUTORIALS, ())}


def test_what_does_not_come_out_is_noticed() -> None:
    output = "one 3f2b9c1\ntwo of 3, 0.98\nthree\n"
    assert differences(("one aaaaaaa", "…", "two of 3, 0.11", "three"), output) == []
    assert differences(("two of …",), output) == []
    assert differences(("two of 4, 0.98",), output) == ["two of 4, 0.98"]
    assert differences(("three", "one 3f2b9c1"), output) == ["one 3f2b9c1"]
