"""What is wrong with a checkout, and the one command that fixes each thing. Quick: nothing heavy is imported."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..base.errors import ProjectError
from ..base.finding import Finding
from ..base.printable import some
from ..chain.composition import CONF, is_fresh
from ..chain.installed import NOT_COMPARED, Noted, settings_fault, stamp_file
from ..chain.packages import LOCK, differences, extra_locks
from ..dvc.dvcfile import PARAMS_FILE, read_pipeline
from ..dvc.remote import Remote
from ..git.anchor import main_root
from ..git.code import is_below
from ..git.repository import WRITTEN_BY_RUNS, Repository
from ..run.imports import imports_of_class
from ..settings import flatten, load_settings, read_params
from .candidate import check_candidate
from .commit import check_commit, check_conflict
from .decisions import check_decisions
from .dvc_gc import check_dvc_gc
from .dvc_notes import check_dvc_notes
from .framework import check_framework
from .hook import check_hook
from .jobs import check_jobs
from .models import check_models
from .objects import check_pushed
from .path import check_path, distrust
from .places import check_places
from .tracking import check_tracking

PYTHONS = ((3, 11), (3, 13))


def examine(root: Path) -> list[Finding]:
    """All checks on the project at `root`, in the order in which one would fix what they find."""
    checks: list[Callable[[Path], Finding]] = [
        check_python,
        check_path,
        check_environment,
        check_activation,
        check_framework,
        check_tracked_files,
        check_untracked_code,
        check_params,
        check_commit,
        check_remote,
        check_places,
        check_pushed,
        check_tracking,
        check_candidate,
        check_decisions,
        check_models,
        check_hook,
        check_dvc_notes,
        check_dvc_gc,
        check_jobs,
    ]
    conflict = distrust(root) or check_conflict(root)
    if conflict is not None and conflict.state == "wrong":  # dvc.lock or params.yaml may be of two sides at once
        return [*(_run(check, root) for check in checks[:5]), conflict]
    return [*(_run(check, root) for check in checks), *([conflict] if conflict else [])]


def examine_last_commit(root: Path) -> list[Finding]:
    """What is wrong with the last result as it was committed; nothing where nothing is."""
    return [found for found in [_run(check_commit, root)] if found.state != "right"]


def check_python(_: Path) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return Finding("Python", "right", version)
    return Finding(
        "Python", "wrong", f"{version}, but 3.11 to 3.13 is needed.", "rm -r .venv && make setup PYTHON=python3.12"
    )


def check_environment(root: Path) -> Finding:
    found = [fault for lock in (root / LOCK, *extra_locks(root)) for fault in differences(lock)]
    if found:
        return Finding("environment", "wrong", f"{len(found)} packages are not as locked: {some(found)}.", "make setup")
    noted = Noted.read(stamp_file())
    wrong = [*settings_fault(stamp_file()), *((*noted.wrong, *noted.changed) if noted else ())]
    if wrong:
        text = f"{len(wrong)} installed files are not what their packages brought: {some(wrong)}."
        return Finding("environment", "wrong", text, "rm -r .venv && make setup")
    if noted is None:
        text = f"its versions are those of {LOCK}; {NOT_COMPARED}."
        return Finding("environment", "unknown", text, "lineage doctor --environment")
    text = f"its versions are those of {LOCK}; all of its files were compared on {noted.moment[:10]}"
    return Finding("environment", "right", f"{text}, and their state before each stage since")


def check_activation(_: Path) -> Finding:
    python = shutil.which("python")
    # the prefix, not the file: inside an environment python is a link to the one it was made from
    if python and Path(python).parent == Path(sys.executable).parent:
        return Finding("activation", "right", f"`python` is {python}")
    what = f"`python` is {python}" if python else "there is no `python` on the PATH"
    fix = f". {Path(sys.prefix) / 'bin' / 'activate'}"
    return Finding("activation", "wrong", f"{what}, so stages would not run in this environment.", fix)


def check_tracked_files(root: Path) -> Finding:
    git = Repository(root)
    if git.run("rev-parse", "--git-dir") is None:
        return Finding("Git", "wrong", "this is no Git repository, so no commit can hold what is run here.", "git init")
    names = [*WRITTEN_BY_RUNS, "dvc.yaml", LOCK, CONF]
    tracked = (git.run("ls-files", "-z", "--", *names) or "").split("\0")
    there = [name for name in names if (root / name).exists()]
    missing = [name for name in there if not any(is_below(path, (name,)) for path in tracked)]
    if not missing:
        return Finding("Git", "right", "dvc.lock and all it rests on are tracked")
    return Finding(
        "Git", "wrong", f"not tracked: {', '.join(missing)}. No commit would hold them.", f"git add {' '.join(missing)}"
    )


def check_untracked_code(root: Path) -> Finding:
    pipeline, git = read_pipeline(root), Repository(root)
    found: dict[str, str] = {}
    under: dict[str, str] = {}
    for stage in pipeline.stages.values():
        for source in (*pipeline.sources(stage), CONF):
            under.setdefault(source, f"stage {stage.name}")
    for path in git.untracked_files(tuple(under)):
        found[path] = next(where for source, where in under.items() if is_below(path, (source, f"{source}.dvc")))
    for key, target in flatten(read_params(root / PARAMS_FILE)).items():
        if key.endswith("._target_") and not str(target).startswith("lineage."):  # a callback or a backend of one's own
            files = [file.relative_to(root).as_posix() for file in imports_of_class(root, str(target))]
            for path in git.untracked_files(tuple(sorted(files))):
                found.setdefault(path, key.removesuffix("._target_"))
    if not found:
        return Finding("code", "right", "every file under a stage, a callback or a backend is tracked")
    data = load_settings(root / PARAMS_FILE).data
    if data.is_versioned and any(path.startswith(f"{data.listing.path}/") for path in found):
        text = f"{data.listing.path}, from which records are fetched, is kept neither by DVC nor by Git."
        return Finding("code", "wrong", text, f"dvc add {data.listing.path}")
    named = [f"{path} (under {where})" for path, where in found.items()]
    return Finding(
        "code", "wrong", f"takes part in runs but is in no commit: {some(named)}.", f"git add {' '.join(found)}"
    )


def check_params(root: Path) -> Finding:
    load_settings(root / PARAMS_FILE)
    if is_fresh(root):
        return Finding("params.yaml", "right", "composed from conf/ as it is")
    return Finding("params.yaml", "wrong", "conf/ was edited after it was composed.", "lineage compose")


def check_remote(root: Path) -> Finding:
    remote = Remote.of(root)
    if remote is None:
        fix = "dvc remote add --default storage URL"
        return Finding("DVC remote", "wrong", "there is none, so no data can be shared or restored.", fix)
    change = f"dvc remote modify --local {remote.name} url /a/lasting/folder"
    if remote.folder is None:
        return Finding("DVC remote", "right", f"{remote.url} (whether it answers is reported below)")
    if not remote.is_absolute:
        text = f"its url is relative: from here {remote.folder}, from a temporary experiment a folder that is deleted."
        return Finding("DVC remote", "wrong", text, f"dvc remote modify --local {remote.name} url {remote.folder}")
    if _is_temporary(remote.folder, root):
        return Finding(
            "DVC remote", "wrong", f"{remote.folder} is in a temporary folder, which will be deleted.", change
        )
    if not remote.folder.parent.is_dir():
        return Finding(
            "DVC remote", "wrong", f"{remote.folder} is out of reach: {remote.folder.parent} does not exist.", change
        )
    writable = remote.folder if remote.folder.exists() else remote.folder.parent
    if not os.access(writable, os.W_OK):
        return Finding("DVC remote", "wrong", f"{writable} cannot be written to.", change)
    return Finding("DVC remote", "right", str(remote.folder))


def _run(check: Callable[[Path], Finding], root: Path) -> Finding:
    try:
        return check(root)
    except ProjectError as error:
        return Finding(check.__name__.removeprefix("check_"), "wrong", str(error))
    except Exception as error:  # one check that cannot be made must not hide the others
        text = f"could not be checked: {type(error).__name__}: {error}"
        return Finding(check.__name__.removeprefix("check_"), "unknown", text)


def _is_temporary(folder: Path, root: Path) -> bool:
    places = (Path(tempfile.gettempdir()).resolve(), (main_root(root) / ".dvc" / "tmp").resolve())
    # a project that is itself in a temporary folder is there on purpose
    return any(folder.is_relative_to(place) and not root.resolve().is_relative_to(place) for place in places)
