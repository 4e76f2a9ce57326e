"""What a stage works with is changed while it works: dvc would record what it finds afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from baked import Project
from damage import edit
from stages import PACKAGE, Workshop, workshop

__all__ = ["workshop"]

CODE = "lineage/records/images.py"
CHANGES = {
    "a setting": ("params.yaml", "fraction: 1.0", "fraction: 0.5", "data.fraction (1.0 -> 0.5)"),
    "code": (CODE, "from __future__", "# other\nfrom __future__", CODE),
    "data": ("data/raw/records.parquet", "", "", "data/raw"),
    "a new file": ("data/raw/more", "", "", "data/raw"),
    "the command": ("dvc.yaml", f"{PACKAGE}.stages.preprocess", f"{PACKAGE}.stages.other", "stage preprocess in dvc"),
    "a dependency more": (
        "dvc.yaml",
        "      - ${privacy.s",
        "      - conf\n      - ${privacy.s",
        "stage preprocess in dvc",
    ),
    "settings that cannot be read": ("params.yaml", "data:", "data: [", "not valid YAML"),
}
HARMLESS = {
    "a setting of another stage": ("params.yaml", "lr: 0.02", "lr: 0.5"),
    "a comment": ("dvc.yaml", "stages:", "# other\nstages:"),
    "code written again": (CODE, "", ""),
    "what dvc ignores": ("data/raw/.DS_Store", "", ""),
}


@pytest.fixture(scope="module")
def working(workshop: Workshop) -> Workshop:
    """Raw records, and a stage preprocess that runs what the variable MEANWHILE holds when it begins to work."""
    stage = workshop.root / PACKAGE / "stages" / "preprocess.py"
    edit(stage, "    table = ", "    import os\n\n    exec(os.environ.get('MEANWHILE', ''))\n    table = ")()
    workshop.compose()
    workshop.run("fetch")
    return workshop


def meanwhile(file: str, old: str, new: str) -> str:
    """The program that a colleague would run: writes `new` for `old`, or the same bytes once more."""
    return (
        f"from pathlib import Path; file = Path('{file}'); text = file.read_bytes() if file.exists() else b'x'\n"
        f"changed = text.replace({old.encode()!r}, {new.encode()!r}, 1); assert {old == new} or changed != text\n"
        "file.write_bytes(changed)"
    )


@pytest.mark.parametrize(("file", "old", "new", "said"), CHANGES.values(), ids=CHANGES)
def test_a_change_while_a_stage_works_discards_its_result(
    file: str, old: str, new: str, said: str, working: Workshop
) -> None:
    path = working.root / file
    before = path.read_bytes() if path.exists() else None
    if not old and before is not None:  # the last byte is changed
        old, new = "PAR1", "PAR2"
    refusal = working.run("preprocess", code=1, MEANWHILE=meanwhile(file, old, new))
    if before is None:
        path.unlink()
    else:
        path.write_bytes(before)
    assert "Traceback" not in refusal
    assert said in refusal
    assert not (working.root / "data" / "processed").exists()


@pytest.mark.parametrize(("file", "old", "new"), HARMLESS.values(), ids=HARMLESS)
def test_what_the_stage_does_not_depend_on_may_change(file: str, old: str, new: str, working: Workshop) -> None:
    working.run("preprocess", MEANWHILE=meanwhile(file, old, new))
    (working.root / "data" / "processed" / "manifest.parquet").unlink()
    working.project.run("rm", "-r", "data/processed")


def test_code_that_was_loaded_and_put_back_is_noticed(working: Workshop) -> None:
    """Its hash is the same before and after; what ran was something else."""
    program = (
        f"from pathlib import Path; import importlib, sys; file = Path('{CODE}'); text = file.read_bytes()\n"
        f"file.write_bytes(text + b'# other'); name = 'lineage.records.images'; importlib.reload(sys.modules[name])\n"
        "file.write_bytes(text)"
    )
    assert f"{CODE} changed while it worked" in working.run("preprocess", code=1, MEANWHILE=program)
    assert not (working.root / "data" / "processed").exists()


def test_conf_edited_while_config_checks_it(working: Workshop) -> None:
    stage = working.root / PACKAGE / "stages" / "config.py"
    edit(stage, "    everything =", "    import os\n\n    exec(os.environ.get('MEANWHILE', ''))\n    everything =")()
    program = meanwhile("conf/train/default.yaml", "lr: 0.02", "lr: 0.03")
    said = working.run("config", code=1, MEANWHILE=program)
    edit(working.root / "conf" / "train" / "default.yaml", "lr: 0.03", "lr: 0.02")()
    assert "conf/train/default.yaml changed while it worked" in said


def test_a_change_in_the_last_moment_is_found_by_the_next_stage(clone: Callable[[str], Project]) -> None:
    """After the stage has looked, and before dvc reads params.yaml."""
    project = clone("late")
    script = project.root / "scripts" / "late.sh"
    script.write_text("sed -i.old 's/fraction: 1.0/fraction: 0.5/' params.yaml\n")
    edit(project.root / "dvc.yaml", ".stages.preprocess", ".stages.preprocess && sh scripts/late.sh")()
    output = project.dvc("repro", "--force", "train", code=255)
    assert "dvc.lock records another data.fraction (it was 1.0) of preprocess than it worked with" in output
    assert "Run `dvc repro --force preprocess`" in output


def test_a_model_is_not_registered_with_settings_it_was_not_trained_with(project: Project) -> None:
    """However they came into dvc.lock: in the last moment, or with `dvc commit`."""
    lock = project.root / "dvc.lock"
    text = lock.read_text()
    at = text.index("\n  train:\n")
    lock.write_text(text[:at] + text[at:].replace("lr: 0.02", "lr: 0.5", 1))
    output = project.dvc("repro", "--single-item", "--force", "register", code=255)
    assert "dvc.lock records another train.lr (it was 0.02) of train than models/run.json says" in output
    assert len(project.store().versions()) == 2


def test_stages_are_started_again_from_their_sources(working: Workshop) -> None:
    said = working.project.run("python", "-m", f"{PACKAGE}.stages.fetch", code=0)
    assert "Traceback" not in said
    assert Path(working.root / "data" / "raw").is_dir()
