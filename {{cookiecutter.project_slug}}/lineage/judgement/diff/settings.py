"""Parameters and environment: what dvc.lock and the record of the training say of them."""

from __future__ import annotations

from typing import Any

from ...base.errors import LineageError
from ...chain.packages import LOCK, pins
from ...dvc.dvcfile import locked_hash
from ...dvc.hashes import hash_bytes
from .section import changes, counted, section
from .sides import Side

PACKAGES = "packages_sha256"  # of the record of a training: over all files of the packages that were installed


def parameters(a: Side, b: Side) -> dict[str, Any]:
    """The parameters of all stages."""
    before, after = a.parameters, b.parameters
    unknown = [f"{side.title}: dvc.lock records no parameters." for side in (a, b) if not side.recorded.lock]
    found = changes(before, after)
    keys = counted(len({*before, *after}), "parameter")
    return section(compared=f"{keys} of dvc.lock", unknown=unknown, differs=bool(found), changed=found)


def environment(a: Side, b: Side) -> dict[str, Any]:
    """Locked packages, Python, device, threads and the platform."""
    unknown: list[str] = []
    machines = [_machine(side, unknown) for side in (a, b)]
    before, after = (_pins(side, machine, unknown) for side, machine in zip((a, b), machines, strict=True))
    packages, machine = _packages(before, after), changes(*(_facts(each) for each in machines))
    if not all(machines):
        machine = {}  # said to be unknown, and no difference
    if before is not None and after is not None and not any(packages.values()):
        # hashes of files, addresses, packages of other platforms
        locks = [{f"{LOCK} beside the versions (MD5)": hash_bytes(side.read(LOCK) or b"", LOCK).md5} for side in (a, b)]
        machine |= changes(*locks)
    return section(
        compared=f"{counted(len({*(before or {}), *(after or {})}), 'locked package')}, Python, device, threads",
        unknown=list(dict.fromkeys(unknown)),
        differs=bool(machine or any(packages.values())),
        packages=packages,
        machine=machine,
    )


def _packages(before: dict[str, str] | None, after: dict[str, str] | None) -> dict[str, dict[str, Any]]:
    if before is None or after is None:
        return {"added": {}, "removed": {}, "changed": {}}
    return {
        "added": {name: version for name, version in after.items() if name not in before},
        "removed": {name: version for name, version in before.items() if name not in after},
        "changed": {name: pair for name, pair in changes(before, after).items() if None not in pair},
    }


def _machine(side: Side, unknown: list[str]) -> dict[str, Any]:
    try:
        record = side.run_record
    except LineageError as error:
        unknown.append(f"{side.title}: Python, device and threads of the training: {error}.")
        return {}
    found = dict(record.get("machine") or {})
    if not found:
        unknown.append(f"{side.title}: the record of the training says nothing of its machine.")
    return {**found, **({PACKAGES: record[PACKAGES]} if record.get(PACKAGES) else {})}


def _facts(machine: dict[str, Any]) -> dict[str, Any]:
    facts = {key: value for key, value in machine.items() if key != "markers"}
    if PACKAGES in facts:
        facts["installed packages (SHA-256)"] = facts.pop(PACKAGES)
    return facts


def _pins(side: Side, machine: dict[str, Any], unknown: list[str]) -> dict[str, str] | None:
    """Version by package of the lock that the training had; None if that is not the file of this side."""
    text = side.read(LOCK)
    recorded = locked_hash(side.recorded.trained, "deps", LOCK)
    if text is None:
        unknown.append(f"{side.title}: {LOCK} is not there.")
        return None
    if recorded is not None and hash_bytes(text, LOCK).md5 != recorded:
        unknown.append(f"{side.title}: {LOCK} is not the one that the training had ({recorded}).")
        return None
    return pins(text.decode(errors="replace"), machine.get("markers"))
