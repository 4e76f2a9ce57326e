"""A disk that is full, and one that is read-only: a sentence, and nothing that a later run takes for a result.

Both are made with a mount that only the stage's own process sees, which root alone may do; elsewhere a limit on the
size of files stands for the full disk.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from baked import Project
from photographs import photograph, put
from stages import PACKAGE, Workshop

MAY_MOUNT = shutil.which("unshare") is not None and (
    subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
)
mounting = pytest.mark.skipif(not MAY_MOUNT, reason="mounts need root")


def read_only(path: str) -> str:
    """The commands that make a file or a folder read-only, for whoever runs them."""
    return f"mount --bind {path} {path} && mount -o remount,bind,ro {path}"


def mounted(workshop: Workshop, mount: str, stage: str, code: int) -> str:
    """What a stage says while `mount` is in force, for it alone."""
    command = f"{mount} && exec python -I scripts/stage.py {PACKAGE}.stages.{stage}"
    return workshop.project.run("unshare", "-m", "sh", "-c", command, code=code)


@pytest.fixture(scope="module")
def photos(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of more than a megabyte."""
    files = {
        f"{name}/{number}.bmp": photograph(shade, number, "BMP") * 20
        for name, shade in {"cat": 60, "dog": 120}.items()
        for number in range(30)
    }
    folder = put(tmp_path_factory.mktemp("photos"), files)
    workshop.compose("data=image_folder", f"data.source.path='{folder}'")
    workshop.run("listing")
    return folder


@mounting
@pytest.mark.usefixtures("photos")
def test_a_full_disk(workshop: Workshop) -> None:
    data = workshop.root / "data"
    listing = shlex.quote(str(data / "listing.json"))
    aside = ".dvc/tmp/aside.json"
    small = f"cp {listing} {aside} && mount -t tmpfs -o size=512k tmpfs data && cp {aside} {listing}"
    said = mounted(workshop, small, "fetch", 1)
    assert "fetch: " in said
    assert "the disk is full. Make room, then run this again." in said
    assert "Traceback" not in said
    assert not (data / "raw").exists()
    workshop.run("fetch")
    assert len(workshop.records()) == 60


@mounting
@pytest.mark.usefixtures("photos")
def test_a_disk_that_fills_up_while_images_are_prepared(workshop: Workshop) -> None:
    workshop.run("fetch")
    small = "mkdir -p .dvc/tmp/kept && mount -t tmpfs -o size=8k tmpfs .dvc/tmp/kept"
    said = mounted(workshop, small, "preprocess", 1)
    assert "preprocess: " in said
    assert "the disk is full" in said
    assert "Traceback" not in said
    assert not (workshop.root / "data" / "processed").exists()
    workshop.run("preprocess")
    assert len(workshop.manifest()) == 60


@mounting
@pytest.mark.usefixtures("photos")
def test_a_folder_that_is_read_only(workshop: Workshop) -> None:
    said = mounted(workshop, read_only("data"), "fetch", 1)
    assert "read-only. Make it writable" in said
    assert "Traceback" not in said


@pytest.fixture(scope="module")
def tracked(baseline: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone of the baseline whose model is registered in a store of its own."""
    project = baseline.clone(tmp_path_factory.mktemp("tracked") / baseline.root.name)
    project.compose("tracking.uri=sqlite:///mlflow-own.db")
    project.dvc("repro")
    return project


@mounting
@pytest.mark.parametrize(
    ("mount", "sentence"),
    [
        (
            read_only("mlflow-own.db"),
            "register: could not open a run at sqlite:///mlflow-own.db: attempt to write a readonly database",
        ),
        (
            read_only("mlartifacts"),
            "register: could not store manifest.parquet at sqlite:///mlflow-own.db: [Errno 30] Read-only",
        ),
        ("mount -t tmpfs -o size=1k tmpfs mlartifacts", "[Errno 28] No space left on device"),
    ],
    ids=["read-only database", "read-only artifacts", "full disk of artifacts"],
)
def test_a_store_that_takes_nothing(tracked: Project, mount: str, sentence: str) -> None:
    before = tracked.lineage, tracked.lock
    command = f"{mount} && exec dvc repro --force --single-item register"
    said = tracked.run("unshare", "-m", "sh", "-c", command, code=255)
    assert sentence in said
    assert "Traceback" not in said
    assert not (tracked.root / "lineage.json").exists()
    tracked.dvc("repro")
    assert (tracked.lineage, tracked.lock) == before
    assert len(tracked.store(f"sqlite:///{tracked.root}/mlflow-own.db").versions()) == 1


@pytest.mark.usefixtures("photos")
def test_a_limit_on_the_size_of_files(workshop: Workshop) -> None:
    before = sorted(workshop.outputs())
    command = f"ulimit -f 100 && exec python -I scripts/stage.py {PACKAGE}.stages.fetch"
    said = workshop.project.run("sh", "-c", command, code=1)
    assert "larger than this system allows" in said
    assert "Traceback" not in said
    assert sorted(workshop.outputs()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_image_that_may_not_be_read(workshop: Workshop, photos: Path) -> None:
    image = photos / "cat" / "0.bmp"
    image.chmod(0)
    try:
        assert "permission denied" in workshop.refusal("listing")
    finally:
        image.chmod(0o644)
