"""The link between a model and the packages that trained it: the lock, and what the run found installed."""

from __future__ import annotations

from typing import Any

from ...chain.installed import NOT_COMPARED
from ...chain.packages import LOCK, belongs_to_torch, pins
from ...dvc.hashes import hash_bytes
from ..case import ModelCase
from ..recompute import CheckResult

PACKAGES = "packages.txt"  # what was installed: an artifact of the training run


def environment(case: ModelCase) -> CheckResult:
    """The environment lock is the commit's, and the packages that the training run found installed are the lock's."""
    result = CheckResult()
    document = case.document
    record, lock = document["training_run"], case.tree.read(LOCK) or b""
    result.equal(LOCK, document["environment"]["md5"], case.tree.md5(LOCK), "the commit")
    started = record.get("started_from", {})
    result.equal("the environment", started.get("environment_differs"), None, LOCK)
    compared = "" if "packages_sha256" in started else f"; {NOT_COMPARED}"
    if case.version is None or record.get("run_id") is None:
        result.note = f" as the run saw it; the list of packages is in MLflow, which was not asked{compared}"
        return result
    packages = _packages(case, record, result)
    of_image = record.get("job", {}).get("image_packages") or {}
    _compare_packages(packages, lock, of_image, record, result)
    named = ", ".join(f"{name} {version}" for name, version in of_image.items())
    image = f"; torch and what belongs to it are the image's, not the lock's: {named}" if of_image else ""
    result.note = f"{image}{compared}"
    return result


def _packages(case: ModelCase, record: dict[str, Any], result: CheckResult) -> dict[str, str]:
    """The packages that the run has logged, version by name. The list must have the hash that the run wrote down."""
    logged = case.evidence.store_at(record["tracking_uri"]).artifact(record["run_id"], PACKAGES)
    what, stated = f"{PACKAGES} of run {record['run_id']}", record.get("packages_sha256")
    found = hash_bytes(logged, PACKAGES).sha256
    result.equal(what, f"SHA-256 {found}", f"SHA-256 {stated}", "what the run wrote")
    lines = [line.partition("==") for line in logged.decode(errors="replace").splitlines()]
    malformed = [name for name, equals, version in lines if not (name and equals and version)]
    result.equal(f"lines of {what} that name no package", malformed, [], "the run")
    return {name: version for name, _, version in lines}


def _compare_packages(
    packages: dict[str, str], lock: bytes, of_image: dict[str, str], record: dict[str, Any], result: CheckResult
) -> None:
    """What was installed against the lock; torch and what belongs to it against the image of the job, if it had one."""
    where = f"in {PACKAGES} of run {record['run_id']}"
    for name, version in of_image.items():
        result.equal(f"package {name} {where}", packages.get(name), version, "the job")
    for name, locked in pins(lock.decode(), record.get("machine", {}).get("markers")).items():
        if of_image and belongs_to_torch(name):
            continue
        installed = packages.get(name)
        # a lock without a local part (+cpu, +cu130) admits any
        if installed is not None and "+" not in locked:
            installed = installed.partition("+")[0]
        result.equal(f"package {name} {where}", installed, locked, LOCK)
