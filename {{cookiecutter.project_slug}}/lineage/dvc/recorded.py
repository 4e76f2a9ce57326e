"""What one dvc.lock records, by the roles that dvc.yaml beside it gives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..contract import Role
from .dvcfile import Lock, Pipeline, Stage, locked_hash, locked_params, read_lock, read_pipeline
from .hashes import sha256_of_json

READ = (Role.RAW, Role.CONSENT, Role.DATASET, Role.PRETRAINED)  # what a training rests on; the others come after it


@dataclass(frozen=True, eq=False)
class Recorded:
    """dvc.lock and dvc.yaml of one commit, or of one folder. What is not recorded is None."""

    lock: Lock
    pipeline: Pipeline

    @classmethod
    def here(cls, root: Path) -> Recorded:
        """Those of the project at `root`. Raises ProjectError if dvc.yaml cannot be read."""
        return cls(read_lock(root), read_pipeline(root))

    @cached_property
    def training(self) -> Stage | None:
        """The stage that makes the model."""
        return self.pipeline.maker(Role.MODEL)

    @cached_property
    def trained(self) -> dict[str, Any] | None:
        """The entry of the training."""
        return self.lock.get(self.training.name) if self.training else None

    @cached_property
    def identity(self) -> str | None:
        """The model identity: SHA-256 of the entry of the training, as canonical JSON."""
        return sha256_of_json(self.trained) if self.trained is not None else None

    def entry(self, role: Role) -> dict[str, Any] | None:
        """The entry of the stage that makes what has the role."""
        maker = self.pipeline.maker(role)
        return self.lock.get(maker.name) if maker else None

    def made(self, role: Role) -> str | None:
        """The MD5 of what has the role as its stage made it."""
        path = self.pipeline.path(role)
        return locked_hash(self.entry(role), "outs", path) if path else None

    def read(self, role: Role) -> str | None:
        """The MD5 of what has the role as the training read it, or the stage nearest upstream that did."""
        return self._read_by(self.pipeline.of_model(), role)

    def _read_by(self, stages: list[Stage], role: Role) -> str | None:
        path = self.pipeline.path(role)
        found = (locked_hash(self.lock.get(stage.name), "deps", path) for stage in stages if path)
        return next(filter(None, found), None)

    def raw_of(self, dataset: str) -> str | None:
        """The MD5 of the raw data that a dataset version was made from; None if it was not made here."""
        for made in self.pipeline.made:
            maker = self.pipeline.producer(made.path) if made.role is Role.DATASET else None
            if maker and locked_hash(self.lock.get(maker.name), "outs", made.path) == dataset:
                return self._read_by([maker, *self.pipeline.upstream(maker)], Role.RAW)
        return None

    def md5(self, role: Role) -> str | None:
        """The MD5 by which the chain names what has the role: as it was read before training, as it was made after."""
        return self.read(role) if role in READ else self.made(role)

    def profile_of(self, dataset: str) -> str | None:
        """The MD5 of the profile of a dataset version; None if the stage that made this one wrote none."""
        for made in self.pipeline.made:
            maker = self.pipeline.producer(made.path) if made.role is Role.DATASET else None
            entry = self.lock.get(maker.name) if maker else None
            if locked_hash(entry, "outs", made.path) == dataset and (path := self.pipeline.profile_of(made.path)):
                return locked_hash(entry, "outs", path)
        return None

    def params(self, role: Role) -> dict[str, Any]:
        """The parameters of the stage that makes what has the role, by dotted key."""
        return locked_params(self.entry(role))

    @property
    def evaluated(self) -> str | None:
        """The MD5 of the model that the scores are about."""
        path = self.pipeline.path(Role.MODEL)
        return locked_hash(self.entry(Role.SCORES), "deps", path) if path else None
