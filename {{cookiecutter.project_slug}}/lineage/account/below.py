"""What lies below the folder of this project in the bucket and belongs to no job: files of models, code of pipelines.

Jobs name what went to them and came from them (jobs.py). Here is the rest, each object once: what a command of this
project has put there and nothing uses any more may go; what nothing here explains is named, and stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..base.errors import DispatchError
from ..base.translated import translate_errors
from ..compute.sagemaker.tags import PROJECT_METADATA
from .found import Found
from .left import Left, below, parted
from .stored import Stored, group, listed, written

SERVED, REGISTERED, CODE, ARTIFACTS = "serving", "registry", "pipelines/code", "mlflow"  # folders
OF_CODE = re.compile(r"-([0-9a-f]{12,64})$")  # the SDK's copies of code: what it was made of, as far as the name has it
UNEXPLAINED = "nothing here says what it is of"


@dataclass(frozen=True)
class Uses:
    """What is used by what stays."""

    archives: frozenset[str]  # what models and packages read, by address
    definitions: str  # of pipelines, one after the other
    is_going_on: bool  # an execution: it may be of an earlier definition
    unseen: tuple[str, ...]  # models and pipelines that cannot be looked at
    pipelines: frozenset[str]  # their names
    executions: frozenset[str]  # the ids of all executions whose jobs bear the tag of this project


def below_prefix(
    found: Found, uses: Uses, others: Iterable[str], protected: tuple[str, ...], days: float
) -> list[Left]:
    """What lies below the folder of the settings, but for the addresses in `others` and what is `protected`."""
    ours, known = found.aws.address(), frozenset(others)
    groups: dict[str, list[Stored]] = {}
    for each in listed(found, ours):
        if each.address not in known and not below(protected, each.address):
            groups.setdefault(_folder(each.address.removeprefix(f"{ours}/")), []).append(each)
    code = {name.rpartition("/")[2]: objects[0] for name, objects in groups.items() if name.startswith(f"{CODE}/")}
    left = []
    for name, objects in sorted(groups.items()):
        tail = OF_CODE.search(name)
        packed = next((first for sha, first in code.items() if tail and sha.startswith(tail[1])), None)
        kept = _why(found, uses, name, objects, days, packed)
        left.append(group(found, "objects", f"{ours}/{name}", objects, kept))
    return left


def _folder(rest: str) -> str:
    """The folder that a thing lies in, of the key of an object below the folder of the project."""
    parts = rest.split("/")
    depth = 3 if rest.startswith("pipelines/") else 2 if parts[0] in (SERVED, REGISTERED) else 1
    return "/".join(parts[: min(depth, len(parts) - 1)])


def _why(
    found: Found, uses: Uses, name: str, objects: Sequence[Stored], days: float, packed: Stored | None = None
) -> str:
    """Why what lies in a folder stays; empty if it may go. `packed`: the code that SageMaker's SDK made this of."""
    first, _, rest = name.partition("/")
    if first == ARTIFACTS:
        return "artifacts of MLflow"
    if first in (SERVED, REGISTERED) and rest:
        reader = "a model" if first == SERVED else "a package or a model"
        why = f"{reader} that stays reads it" if uses.archives & {each.address for each in objects} else ""
    elif name.startswith(f"{CODE}/") or packed:
        why = "a pipeline that stays runs it" if name in uses.definitions else ""
        why = why or ("an execution that goes on may run it" if uses.is_going_on else "")
    elif first == "pipelines" and rest:
        is_there = rest.partition("/")[0] in uses.pipelines
        why = "of a pipeline that stays: `lineage pipeline collect` reads it" if is_there else ""
    else:
        return UNEXPLAINED
    if not why and uses.unseen:
        why = f"{uses.unseen[0]}, which cannot be looked at, may use it"
    why = why or written(objects, days)
    return why or ("" if rest.rpartition("/")[2] in uses.executions else _of_others(found, packed or objects[0]))


def _of_others(found: Found, stored: Stored) -> str:
    """Why an object is not this project's to delete; empty if it is: whoever put it there has said so on it."""
    bucket, key = parted(stored.address)
    with translate_errors(DispatchError, f"could not look at {stored.address}"):
        said = found.aws.client("s3").head_object(Bucket=bucket, Key=key).get("Metadata") or {}
    whose = said.get(PROJECT_METADATA)
    if whose == found.project_id:
        return ""
    return "another project has put it there" if whose else "it does not say which project has put it there"
