"""What is wrong with a checkout, and the one command that mends each thing. Quick: nothing heavy is imported."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .errors import ProjectError
from .lineage.anchor import main_root
from .lineage.composition import CONF, is_fresh
from .lineage.git import WRITTEN_BY_RUNS, Repository
from .lineage.hook import is_installed
from .lineage.packages import LOCK, differences
from .lineage.remote import Remote, Storage
from .lineage.tracking import SQLITE, absolute_uri, local_path
from .pipeline.dvcfile import PARAMS_FILE, read_lock, read_pipeline
from .settings import load_settings

if TYPE_CHECKING:
    from .proof.case import Evidence

PYTHONS = ((3, 11), (3, 13))


@dataclass(frozen=True)
class Finding:
    """The answer of one check. `mend` is a command, empty where nothing needs mending."""

    check: str
    state: Literal["right", "wrong", "unknown"]
    text: str
    mend: str = ""


def examine(root: Path) -> list[Finding]:
    """All checks on the project at `root`, in the order in which one would mend what they find."""
    checks: list[Callable[[Path], Finding]] = [
        check_python,
        check_environment,
        check_activation,
        check_tracked_files,
        check_untracked_code,
        check_params,
        check_remote,
        check_pushed,
        check_tracking,
        check_models,
        check_hook,
    ]
    return [_run(check, root) for check in checks]


def check_python(_: Path) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return Finding("Python", "right", version)
    return Finding(
        "Python", "wrong", f"{version}, but 3.11 to 3.13 is needed.", "rm -r .venv && make setup PYTHON=python3.12"
    )


def check_environment(root: Path) -> Finding:
    found = differences(root / LOCK)
    if not found:
        return Finding("environment", "right", f"as {LOCK} says")
    return Finding("environment", "wrong", f"{len(found)} packages are not as locked: {_some(found)}.", "make setup")


def check_activation(_: Path) -> Finding:
    python = shutil.which("python")
    # the prefix, not the file: inside an environment python is a link to the one it was made from
    if python and Path(python).parent == Path(sys.executable).parent:
        return Finding("activation", "right", f"`python` is {python}")
    what = f"`python` is {python}" if python else "there is no `python` on the PATH"
    mend = f". {Path(sys.prefix) / 'bin' / 'activate'}"
    return Finding("activation", "wrong", f"{what}, so stages would not run in this environment.", mend)


def check_tracked_files(root: Path) -> Finding:
    git = Repository(root)
    if git.run("rev-parse", "--git-dir") is None:
        return Finding("Git", "wrong", "this is no Git repository, so no commit can hold what is run here.", "git init")
    names = [*WRITTEN_BY_RUNS, "dvc.yaml", LOCK, CONF]
    missing = [name for name in names if (root / name).exists() and not git.lines("ls-files", "--", name)]
    if not missing:
        return Finding("Git", "right", "dvc.lock and all it rests on are tracked")
    return Finding(
        "Git", "wrong", f"not tracked: {', '.join(missing)}. No commit would hold them.", f"git add {' '.join(missing)}"
    )


def check_untracked_code(root: Path) -> Finding:
    pipeline, git = read_pipeline(root), Repository(root)
    found: dict[str, str] = {}
    for stage in pipeline.stages.values():
        for path in git.untracked_files((*pipeline.sources(stage), CONF)):
            found.setdefault(path, stage.name)
    if not found:
        return Finding("code", "right", "every file under a stage is tracked")
    data = load_settings(root / PARAMS_FILE).data
    if data.is_versioned and any(path.startswith(f"{data.listing}/") for path in found):
        text = f"{data.listing}, from which records are fetched, is kept neither by DVC nor by Git."
        return Finding("code", "wrong", text, f"dvc add {data.listing}")
    named = [f"{path} (under stage {stage})" for path, stage in found.items()]
    return Finding(
        "code", "wrong", f"takes part in runs but is in no commit: {_some(named)}.", f"git add {' '.join(found)}"
    )


def check_params(root: Path) -> Finding:
    load_settings(root / PARAMS_FILE)
    if is_fresh(root):
        return Finding("params.yaml", "right", "composed from conf/ as it is")
    return Finding("params.yaml", "wrong", "conf/ was edited after it was composed.", "lineage compose")


def check_remote(root: Path) -> Finding:
    remote = Remote.of(root)
    if remote is None:
        mend = "dvc remote add --default storage URL"
        return Finding("DVC remote", "wrong", "there is none, so no data can be shared or restored.", mend)
    change = f"dvc remote modify --local {remote.name} url /a/lasting/folder"
    if remote.folder is None:
        return Finding("DVC remote", "right", f"{remote.url} (whether it answers is told below)")
    if not remote.is_absolute:
        text = f"{remote.url} is relative: a temporary experiment would resolve it inside its own folder and lose it."
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


def check_pushed(root: Path) -> Finding:
    storage, remote = Storage(root), Remote.of(root)
    if remote is None:
        return Finding("objects", "unknown", "no remote to look in")
    objects = storage.objects_of(read_pipeline(root), read_lock(root))
    if not objects.known and not objects.unlisted:
        return Finding("objects", "right", "dvc.lock records none yet")
    missing = remote.missing(objects.known)
    evidence = _evidence_of_erasures(root) if missing or missing is None else None
    if missing is None:
        asked = _ask_dvc(root)
        if asked.state != "right":
            return asked
        # to dvc a listing stands for its files, which after an erasure it does not
        missing = _named_and_missing(evidence, objects.known) if evidence else frozenset()
    erased = frozenset(md5 for md5 in missing if evidence and evidence.erasures.of_object(md5))
    if missing := missing - erased:
        text = f"{len(missing)} of {len(objects.known)} objects that dvc.lock records are not in {remote.url}."
        has_listings = not any(md5.endswith(".dir") for md5 in missing)  # then `dvc push` takes the files to be there
        return Finding("objects", "wrong", text, "lineage data push" if has_listings else "dvc push")
    if objects.unlisted:
        text = (
            f"the contents of {_some(objects.unlisted)} are neither in the cache nor in the remote, so nobody can say."
        )
        return Finding("objects", "unknown", text, "dvc pull")
    text = f"all {len(objects.known)} that dvc.lock records are in the remote"
    if erased:
        text += f", but for {len(erased)} that were erased on purpose: where these are needed, `dvc repro` makes them"
    return Finding("objects", "right", text)


def check_tracking(root: Path) -> Finding:
    uri = load_settings(root / PARAMS_FILE).tracking.uri
    other = os.environ.get("MLFLOW_TRACKING_URI")
    if other and other != uri:
        text = "MLFLOW_TRACKING_URI is set but not used: runs go to tracking.uri, so that dvc notices a change."
        return Finding("MLflow", "wrong", text, "unset MLFLOW_TRACKING_URI")
    if uri.startswith(("http://", "https://")):
        return check_server(uri)
    if uri.startswith(SQLITE):
        return _check_sqlite(absolute_uri(uri, main_root(root)).removeprefix(SQLITE))
    return Finding("MLflow", "unknown", f"{uri} is only known to answer when a stage runs")


def check_models(root: Path) -> Finding:
    """Whether MLflow has a version of every model that Git holds. Only files are asked: a server may be slow."""
    from .proof.git_models import GitModels
    from .proof.history import History

    held = GitModels(History(root), root)
    trained = {identity: model for identity, model in held.models.items() if model.stage == "train"}
    if held.unreadable:
        return Finding("models", "unknown", f"{held.unreadable[0]}.")
    here = load_settings(root / PARAMS_FILE).tracking.uri
    if not here.startswith(SQLITE):
        text = f"Git holds {len(trained)}; whether MLflow has a version of each, `lineage verify --all` says"
        return Finding("models", "right", text)
    files = {absolute_uri(uri, main_root(root)) for uri in (here, *held.uris) if uri.startswith(SQLITE)}
    stores = [path for path in (Path(uri.removeprefix(SQLITE)) for uri in files) if path.exists()]
    if not stores:
        return Finding("models", "right", f"Git holds {len(trained)}; there is no MLflow store here yet")
    registered = {identity for path in stores for identity in _registered(path)}
    missing = [model.title for identity, model in trained.items() if identity not in registered]
    if missing:
        text = f"Git holds {len(trained)}, and MLflow has no version of {_some(missing)}. Audits count these too."
        return Finding("models", "unknown", text, "lineage verify --all")
    return Finding("models", "right", f"MLflow has a version of each of the {len(trained)} that Git holds")


def _registered(path: Path) -> set[str]:
    """The identities of the models that a file of MLflow has versions of."""
    import sqlite3

    question = (
        "SELECT tag.value FROM model_version_tags AS tag JOIN model_versions AS version USING (name, version) "
        "WHERE tag.key = 'model_identity' AND version.current_stage != 'Deleted_Internal'"
    )
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        return {str(identity) for (identity,) in database.execute(question)}


def check_hook(root: Path) -> Finding:
    if is_installed(root):
        return Finding("hook", "right", "commits that touch dvc.lock are linked in the background")
    text = "Git does not call `lineage link` after commits, or calls an older one: results are linked when you call it."
    return Finding("hook", "unknown", text, "lineage link --install-hook")


def check_server(uri: str) -> Finding:
    """Whether an MLflow server answers within three seconds."""
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    try:
        with urlopen(f"{uri.rstrip('/')}/health", timeout=3):  # noqa: S310  the scheme was checked
            return Finding("MLflow", "right", f"{uri} answers")
    except HTTPError as error:
        return Finding("MLflow", "unknown", f"{uri} answers with {error.code} when asked for its health")
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        mend = "lineage compose tracking.uri=sqlite:///mlflow.db"
        return Finding("MLflow", "wrong", f"{uri} does not answer ({reason}). Start it, or keep runs here.", mend)


def _check_sqlite(path: str) -> Finding:
    import sqlite3

    if not Path(path).exists():
        return Finding("MLflow", "right", f"{path} is made by the first run")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT name, artifact_location FROM experiments WHERE artifact_location LIKE 'file:%'")
        places = {name: local_path(place) for name, place in rows}
    lost = [name for name, place in places.items() if place is not None and not place.parent.exists()]
    if lost:
        text = f"{path} keeps the artifacts of {_some(lost)} in a folder that is gone. Was the project moved?"
        return Finding("MLflow", "wrong", text, "lineage compose tracking.uri=sqlite:///mlflow-2.db")
    return Finding("MLflow", "right", path)


def _evidence_of_erasures(root: Path) -> Evidence | None:
    """What says whether something was erased on purpose; None where nothing ever was. It imports all of `proof`."""
    if not any((root / "erasures").glob("*/tombstone.json")):
        return None
    from .proof.case import Evidence

    return Evidence(root)


def _named_and_missing(evidence: Evidence, hashes: frozenset[str]) -> frozenset[str]:
    """Those of `hashes` that a tombstone names and the remote does not hold, each looked up by itself."""
    named = (md5 for md5 in hashes if evidence.erasures.named(md5))
    return frozenset(md5 for md5, held in evidence.objects.held(named).items() if held.size is None)


def _ask_dvc(root: Path) -> Finding:
    """What `dvc status --cloud` says, for remotes that only dvc can read. Takes longer than all other checks."""
    try:
        command = ["dvc", "status", "--cloud", "--json"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        return Finding("objects", "unknown", f"dvc could not be asked: {error}")
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return Finding("objects", "wrong", f"the remote is out of reach: {last}", "dvc status --cloud -v")
    new = [path for path, state in json.loads(done.stdout or "{}").items() if state == "new"]
    if new:
        return Finding("objects", "wrong", f"{len(new)} outputs are not in the remote: {_some(new)}.", "dvc push")
    return Finding("objects", "right", "all that dvc.lock records are in the remote")


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


def _some(items: list[str], most: int = 3) -> str:
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")
