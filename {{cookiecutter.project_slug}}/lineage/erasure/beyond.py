"""What names some subjects, and erase does not delete: Git's history, files of people, databases. It is listed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from ..base.errors import LineageError
from ..contract import Role
from ..dvc.dvcfile import PARAMS_FILE
from ..dvc.remote import Remote, place_of_url
from ..git.blobs import SUBMODULE, Blobs
from ..git.repository import strip_user
from ..proof.case import Evidence
from ..proof.erased import FOLDER
from ..settings import flatten, load_settings, read_params
from ..tracking.address import SQLITE, absolute_uri
from .holders import OF_RECORDS
from .search import CODE, NO_TEXT, Search, UnsearchableError
from .spellings import Hit

CONFIG = ".dvc/config"
URL = re.compile(r"^\s*url\s*=\s*(\S.*?)\s*$", re.MULTILINE)
AT_ONCE = 200  # files of Git in memory
MAYBE = " (perhaps: it may mean something else)"
OWN = (FOLDER, ".dvc", "mlartifacts", "mlruns")  # copies.py looks into these, and into records


def find(evidence: Evidence, search: Search) -> Iterator[str]:
    """All of it, in words that say where it is and what to do."""
    yield from _in_git(evidence, search)
    yield from _in_workspace(evidence, search)
    yield from _beside_dvc(evidence, search)
    for uri in _other_stores(evidence):
        yield f"the MLflow store {strip_user(uri)}, which an earlier commit names, was not looked into"
    for name, url in evidence.places.other_remotes.items():
        yield f"the DVC remote {name} ({strip_user(url)}) was not looked into: only the default one is"
    for url, where in _earlier_remotes(evidence).items():
        yield f"the DVC remote {strip_user(url)}, which .dvc/config {where} names, was not looked into"
    for place in kept_requests(evidence):
        yield f"requests that endpoints have kept at {place} were not looked into: nobody noted whose images they are"


def kept_requests(evidence: Evidence) -> list[str]:
    """Where data capture puts requests, by params.yaml here and of every commit."""
    history, found = evidence.history, set()
    commits = {state.commit for state in history.states}
    params = [history.at(commit).params(PARAMS_FILE) for commit in commits] + [read_params(evidence.root / PARAMS_FILE)]
    for each in map(flatten, params):
        if each.get("serving.endpoint.capture.percent"):
            bucket, prefix = (each.get(f"compute.sagemaker.{name}") for name in ("bucket", "prefix"))
            found.add(str(each.get("serving.endpoint.capture.address") or f"s3://{bucket}/{prefix}/captured"))
    return sorted(found)


def _other_stores(evidence: Evidence) -> list[str]:
    """The stores that runs went to before tracking.uri was changed."""
    history = evidence.history
    commits = {state.commit for state in history.states}
    tracking = (history.at(commit).params(PARAMS_FILE).get("tracking") or {} for commit in commits)
    found = {str(each["uri"]) for each in tracking if isinstance(each, dict) and each.get("uri")}
    return sorted(uri for uri in found if absolute_uri(uri, evidence.main) != evidence.store.uri)


def _earlier_remotes(evidence: Evidence) -> dict[str, str]:
    """The addresses of remotes that .dvc/config ever had and DVC does not use now, each with where it is named."""
    config, remote, history = evidence.root / CONFIG, Remote.of(evidence.root), evidence.history
    used = {place_of_url(url, config.parent) for url in evidence.places.other_remotes.values()}
    used |= {str(remote.folder or remote.url.rstrip("/"))} if remote else set()
    contents = {"here": config.read_bytes() if config.is_file() else b""}
    for commit in history.commits_changing(CONFIG):
        contents[f"of {commit[:12]}"] = history.at(commit).read(CONFIG) or b""
    found: dict[str, str] = {}
    for where, data in contents.items():
        for url in URL.findall(data.decode(errors="replace")):
            found.setdefault(place_of_url(url, config.parent), where)
    return {url: where for url, where in found.items() if url not in used}


def in_database(evidence: Evidence, search: Search) -> list[str]:
    """What the embedded MLflow store still holds, freed pages included, after everything that can go has gone."""
    if not evidence.store.uri.startswith(SQLITE):
        return []
    path = Path(evidence.store.uri.removeprefix(SQLITE))
    if path.exists() and search.in_path(path) is Hit.SURE:
        return [f"{path} names them in something else than a tag: `mlflow ui` shows it"]
    return []


def compact(evidence: Evidence) -> None:
    """Lets SQLite write over what was deleted: it keeps the bytes otherwise."""
    if not evidence.store.uri.startswith(SQLITE):
        return
    import sqlite3
    from contextlib import closing, suppress

    with suppress(sqlite3.Error), closing(sqlite3.connect(evidence.store.uri.removeprefix(SQLITE))) as store:
        store.execute("VACUUM")  # if somebody else has it open, in_database finds what is left


def _in_git(evidence: Evidence, search: Search) -> Iterator[str]:
    """Files of any commit, stash or experiment, staged ones too, and messages of commits."""
    git = evidence.history.git
    only = ("--filter=object:type=blob", "--filter-provided-objects")  # else annotated tags are among them
    command = ("rev-list", "--objects", *only, "--all", "--reflog", "HEAD")
    listed = [line.partition(" ") for line in git.must(*command)]
    staged = [line.partition("\t") for line in git.lines("ls-files", "--stage", "--full-name")]
    named = {blob: path for blob, _, path in listed if path}
    named |= {meta.split()[1]: path for meta, _, path in staged if not meta.startswith(SUBMODULE)}
    advice = "in Git's history: `git filter-repo` takes it out, in every clone"
    searched = [(blob, path) for blob, path in named.items() if not path.endswith((*CODE, *NO_TEXT))]
    for path in sorted({path for path in named.values() if search.in_text(path)}):
        yield f"the name {path}, {advice}"
    for first in range(0, len(searched), AT_ONCE):
        blobs = Blobs(evidence.root)
        for blob, path in searched[first : first + AT_ONCE]:
            try:
                hit = _in_data(search, path, blobs.get(blob))
            except LineageError as error:
                yield f"perhaps {path}: {error}"
                continue
            if hit:
                yield f"{path} ({blob[:12]}), {advice}{MAYBE * (hit is Hit.MAYBE)}"
    for ref in git.lines("for-each-ref", "--format=%(refname)"):
        if hit := search.in_text(ref):
            yield f"the Git ref {ref}: rename or delete it, in every clone and remote{MAYBE * (hit is Hit.MAYBE)}"
    for message in (git.run("log", "--all", "--reflog", "-z", "--format=%h %B") or "").split("\0"):
        commit, _, text = message.partition(" ")
        if hit := search.in_text(text):
            yield f"the message of commit {commit}, {advice}{MAYBE * (hit is Hit.MAYBE)}"


def _in_data(search: Search, name: str, data: bytes) -> Hit:
    import io

    try:
        return search.in_file(name, io.BytesIO(data))
    except UnsearchableError:
        return search.in_file(name.rpartition("/")[2], io.BytesIO(b"\0" + data))  # as it is, not unpacked


def _in_workspace(evidence: Evidence, search: Search) -> Iterator[str]:
    """Files of the project's folder that Git does not track, or not as they are: those of people."""
    git = evidence.history.git
    listed = git.run("ls-files", "--others", "--modified", "-z") or ""
    registry = load_settings(evidence.root / PARAMS_FILE).privacy.registry
    roles = evidence.history.roles
    records = [path for role in OF_RECORDS for path in roles.paths(role)]
    kept = {*roles.paths(Role.CONSENT), *records, registry.path if registry else None}
    own = tuple(f"{path}/" for path in (*OWN, *records))
    environment = Path(sys.prefix)
    for name in sorted(set(filter(None, listed.split("\0")))):
        path = evidence.root / name
        is_own = name.startswith((*own, "mlflow.db"))
        if name in kept or is_own or path.is_relative_to(environment) or not path.is_file():
            continue
        hit = search.in_text(name)
        try:
            if hit < Hit.SURE and path.suffix not in (*CODE, *NO_TEXT) and "__pycache__" not in path.parts:
                hit = max(hit, search.in_path(path))
        except UnsearchableError as error:
            yield f"{name}, perhaps: {error}"
        if hit:
            yield f"{name}, a file of yours: delete it{MAYBE * (hit is Hit.MAYBE)}"


def _beside_dvc(evidence: Evidence, search: Search) -> Iterator[str]:
    """What DVC notes of names of files, outside of the project."""
    folder = evidence.places.site_cache
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        try:
            if path.is_file() and search.in_path(path) is Hit.SURE:
                yield f"{path}, a note of DVC's: delete {folder}, DVC recreates it"
                return
        except UnsearchableError:
            continue
