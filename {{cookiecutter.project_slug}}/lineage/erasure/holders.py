"""Which objects hold bytes of some subjects: looked for in what is stored, not in what a manifest says of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from ..audit.scope import Scope
from ..base.errors import LineageError
from ..contract import Role
from ..dvc.dvcfile import read_lock
from ..proof.case import Evidence
from ..proof.erased import FOLDER
from ..records.layout import MANIFEST, RECORDS, SHARDS
from .search import CODE, NO_TEXT, Search, UnsearchableError
from .spellings import Hit

OF_RECORDS = (Role.RAW, Role.DATASET, Role.PREDICTIONS)  # what holds the ids of subjects by its format
MAYBE = " (perhaps: it may mean something else)"


@dataclass(frozen=True)
class Holder:
    """An object of DVC that holds bytes of the subjects."""

    md5: str
    path: str  # in the project
    folder: str  # the dataset version or raw data that it belongs to, by hash
    role: Role | None  # what that is; None for what an erasure left of manifests


class Holders:
    """All objects, of any commit and of the workspace, that hold bytes of the subjects."""

    def __init__(self, evidence: Evidence, ids: list[str]) -> None:
        self._evidence = evidence
        self._search = Search(ids)
        self._seen: dict[str, Hit] = {}
        self.unknown: list[str] = []  # what could not be looked into
        self.nowhere: dict[str, str] = {}  # objects that no place has any more, and nobody knows why: path by hash
        self.maybe: list[str] = []  # what names somebody, but perhaps not them

    @cached_property
    def found(self) -> list[Holder]:
        """Each object once for each folder that it is in."""
        return [holder for path, md5 in sorted(self._folders) for holder in self._in_folder(path, md5)]

    @cached_property
    def beyond(self) -> list[str]:
        """Other objects of DVC that name them, in words: an erasure does not delete those."""
        return list(self._of_other_outputs())

    @property
    def datasets(self) -> list[str]:
        """The dataset versions that hold the subjects."""
        return sorted({holder.folder for holder in self.found if holder.role is Role.DATASET})

    @cached_property
    def _folders(self) -> set[tuple[str, str]]:
        """Path and hash of every dataset version, raw data, predictions and redacted manifests that there ever were."""
        history, roles = self._evidence.history, self._evidence.history.roles
        trees = [history.at(commit) for commit in {state.commit for state in history.states}]
        locks = [read_lock(self._evidence.root), *(tree.lock for tree in trees)]
        items = (
            item
            for lock in locks
            for entry in lock.values()
            for kind in ("deps", "outs")
            for item in entry.get(kind) or []
        )
        records = frozenset[str]().union(*map(roles.paths, OF_RECORDS))
        folders = {
            (str(item["path"]), str(item["md5"])) for item in items if item["path"] in records and item.get("md5")
        }
        for tree in trees:
            folders |= {
                (path, md5)
                for path, md5 in tree.added.items()
                if path in roles.paths(Role.RAW) or path.startswith(f"{FOLDER}/")
            }
        # what only MLflow or the cache names has no path of its own
        known = {md5 for _, md5 in folders}
        raws = {run.data.tags.get("dvc_raw_md5") for run in self._evidence.store.runs.values()}
        named = {(Role.DATASET, md5) for md5 in Scope(self._evidence).datasets} | {
            (Role.RAW, md5) for md5 in raws if md5
        }
        return folders | {(self._usual[role], md5) for role, md5 in {*named, *self._cached} if md5 not in known}

    @cached_property
    def _usual(self) -> dict[Role, str]:
        """A path of raw records and one of dataset versions."""
        roles = self._evidence.history.roles
        return {role: min(roles.paths(role), default=role.value) for role in (Role.RAW, Role.DATASET)}

    def _role(self, path: str) -> Role | None:
        """What a path is, or has been; None for what an erasure left of manifests."""
        roles = self._evidence.history.roles
        if path in roles.paths(Role.DATASET) or path == self._usual[Role.DATASET]:
            return Role.DATASET
        if path in roles.paths(Role.PREDICTIONS):
            return Role.PREDICTIONS
        return None if path.startswith(f"{FOLDER}/") else Role.RAW

    @property
    def _outputs(self) -> set[tuple[str, str]]:
        """Path and hash of all that DVC keeps, of any commit, but for the snapshots of the consent registry."""
        history, found = self._evidence.history, set[tuple[str, str]]()
        trees = [history.at(commit) for commit in {state.commit for state in history.states}]
        for lock in (read_lock(self._evidence.root), *(tree.lock for tree in trees)):
            outs = (out for stage in lock.values() for out in stage.get("outs") or [])
            found |= {(out["path"], out["md5"]) for out in outs if out.get("md5")}
        found |= {item for tree in trees for item in tree.added.items()}
        return {(path, md5) for path, md5 in found if path not in history.roles.paths(Role.CONSENT)}

    @property
    def _cached(self) -> Iterator[tuple[Role, str]]:
        """What the cache holds of results that neither a commit nor a run names: of a fetch after which all failed."""
        for md5 in self._evidence.objects.cached_folders():
            with suppress(LineageError):  # one that is damaged tells nothing
                names = self._evidence.objects.listing(md5)
                kinds = ((Role.RAW, RECORDS), (Role.DATASET, MANIFEST))
                yield from ((role, md5) for role, name in kinds if name in names)

    def _in_folder(self, path: str, md5: str) -> Iterator[Holder]:
        try:
            listing = self._evidence.objects.listing(md5) if md5.endswith(".dir") else {"": md5}
        except LineageError as error:
            self.unknown.append(f"{path} {md5}: {error}")
            return
        role = self._role(path)
        for name, file in listing.items():
            if role is Role.DATASET and name != MANIFEST and not name.startswith(f"{SHARDS}/"):
                continue
            whole = f"{path}/{name}".rstrip("/")
            hit = self._looked_into(whole, file)
            if hit is Hit.SURE:
                yield Holder(file, whole, md5, role)
            elif hit is Hit.MAYBE:
                self.maybe.append(f"{whole} ({file})")

    def _looked_into(self, path: str, md5: str) -> Hit:
        if md5 not in self._seen:
            self._seen[md5] = self._look_into(path, md5)
        return self._seen[md5]

    def _look_into(self, path: str, md5: str) -> Hit:
        objects, erasures = self._evidence.objects, self._evidence.erasures
        if objects.is_missing(md5):  # erased before, or lost: there are no bytes here
            if erasures.stated(md5) is None:
                self.unknown.append(f"{path} ({md5}) is neither in the cache nor in the remote")
                self.nowhere[md5] = path
            return Hit.NO
        try:
            with objects.open(md5) as file:
                return self._search.in_file(path, file)
        except UnsearchableError as error:
            self.unknown.append(f"{path} ({md5}): {error}")
            return Hit.NO

    def _of_other_outputs(self) -> Iterator[str]:
        """What else DVC keeps, of any commit, that names them: outputs that an erasure does not delete."""
        objects, seen = self._evidence.objects, set[str]()
        for path, md5 in sorted(self._outputs - self._folders):
            try:
                listing = objects.listing(md5) if md5.endswith(".dir") else {"": md5}
            except LineageError:
                continue  # it was never pushed and is not here any more: nobody can look
            for name, file in listing.items():
                whole = f"{path}/{name}".rstrip("/")
                hit = self._search.in_text(whole)
                if (
                    not hit
                    and file not in seen
                    and not whole.endswith((*NO_TEXT, *CODE))
                    and not objects.is_missing(file)
                ):
                    seen.add(file)
                    hit = self._looked_into(whole, file)
                if hit:
                    yield f"{whole}, object {file} of DVC{MAYBE * (hit is Hit.MAYBE)}"
