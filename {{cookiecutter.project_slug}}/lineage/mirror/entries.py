"""What is said of versions and packages when the Model Registry is brought to what Git says."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..proof.decisions import Line
from .approval import Approval, approval_of
from .group import Package
from .package import Version

SYNC = "lineage aws registry sync"
AS_DECIDED = f"{SYNC} --as-decided"
WITHDRAW = "aws sagemaker update-model-package --model-approval-status Rejected --model-package-arn "


@dataclass
class Entry:
    """One version and its package. Either may be missing."""

    version: str  # models:/NAME/NUMBER
    arn: str = ""
    status: str = ""  # of the package
    wanted: str = ""  # by the decisions
    why: str = ""  # of that
    done: list[str] = field(default_factory=list)  # what was changed, or with dry_run would be
    fault: str = ""  # why it is not as it should be, and was left so
    fix: str = ""  # the command that changes it
    notes: list[str] = field(default_factory=list)


@dataclass
class Mirrored:
    """The group as it is now."""

    group: str
    entries: list[Entry] = field(default_factory=list)
    others: int = 0  # packages in it that are not this project's

    @property
    def status(self) -> int:
        """0 if every version is there and as was decided, 1 if one is not."""
        return int(any(entry.fault for entry in self.entries))


@dataclass
class Pair:
    """A version and its package."""

    entry: Entry
    version: Version | None = None  # None where it was not asked for, or is not in MLflow any more
    package: Package | None = None
    is_asked: bool = True  # False: looked at since it has the alias
    first: str = ""  # the ARN of the package that counts, where this is a further one of the same version

    @property
    def key(self) -> tuple[str, str]:
        """Number and model identity."""
        known = self.version.known if self.version else self.package.metadata if self.package else {}
        return known.get("mlflow_version", ""), known.get("model_identity", "")


def wanted_of(pair: Pair, line: Line) -> Approval:
    """What a package is to be. Of several of one version, one counts."""
    if pair.first:
        return Approval("Rejected", f"a further package of the same version: {pair.first} is the one that counts")
    return approval_of(line, *pair.key)


def entry_of_others(package: Package) -> Entry:
    """Of an approved package that this project has not made."""
    fault = "this project has not made it, and it is Approved: whoever takes the latest approved package may get it"
    return Entry("another's", package.arn, package.status, fault=fault, fix=f"{WITHDRAW}{package.arn}")
