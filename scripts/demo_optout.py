"""Somebody opts out: bakes a project into demo-optout/, trains with everybody, takes one patient out, and proves it.

Running it again starts over; only the environment is kept.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

from project import NAME, TEMPLATE, call, commit, fresh_folder, setup, shown

DEMO = TEMPLATE / "demo-optout"
WHO = "PAT-00023"


def main() -> None:
    project = fresh_folder(DEMO)
    setup(project)

    say("Version 1: everybody consents")
    call(project, "dvc", "repro", "fetch")
    with (project / "data" / "raw" / "subjects.csv").open(encoding="utf-8", newline="") as file:
        subjects = [row["subject_id"] for row in csv.DictReader(file)]
    registry = dict.fromkeys(subjects, ("active", "2024-01-01T00:00:00Z"))
    write_registry(project, registry)
    call(project, "lineage", "compose", "privacy=registry")
    before = make_version(project, "Everybody")

    moment = datetime.now(UTC).isoformat(timespec="seconds")
    say(f"{WHO} opts out at {moment}")
    write_registry(project, {**registry, WHO: ("revoked", moment)})
    call(project, "grep", WHO, "consent.csv")
    call(project, "lineage", "audit", "affected", answers=(0, 1, 2))

    say(f"Version 2: the same pipeline, without {WHO}")
    after = make_version(project, "Opt-out")  # a message stays for good, so it names nobody
    print(f"\nshards: {len(before & after)} of {len(before)} are the same")
    for sign, changed in (("-", before - after), ("+", after - before)):
        print("".join(f"  {sign} data/processed/shards/{name}\n" for name in sorted(changed)), end="", flush=True)

    say(f"Who used {WHO}? Was {WHO} excluded since?")
    call(project, "lineage", "audit", "subject", WHO, answers=(0, 1, 2))
    asked = ("excluded", WHO, "--since", moment, "--certificate", "certificate")
    call(project, "lineage", "audit", *asked, answers=(0, 1, 2))

    say("The certificate, checked offline with nothing but Python, and against the repository")
    call(project, "python", "scripts/check_certificate.py", "certificate.json", answers=(0, 1, 2))
    call(project, "lineage", "audit", "check", "certificate.json", answers=(0, 1, 2))
    print(
        f"""
try next      cd {shown(project)}
              . .venv/bin/activate
              lineage audit records models:/{NAME}/2      # who is in it, by split
              lineage reproduce models:/{NAME}/1 --here   # with the consent of then
              lineage verify --all
              open certificate.html                                   # the same for people
"""
    )


def write_registry(project: Path, statuses: dict[str, tuple[str, str]]) -> None:
    """Writes consent.csv: the status of each subject, and since when it holds."""
    with (project / "consent.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["subject_id", "consent_status", "effective_at"])
        table.writerows([subject, *status] for subject, status in statuses.items())


def make_version(project: Path, message: str) -> set[str]:
    """Runs the pipeline, commits, pushes, links. Returns the names of the dataset's shards."""
    call(project, "dvc", "repro")
    commit(project, message)
    call(project, "dvc", "push", "--quiet")
    call(project, "lineage", "link", "--quiet")
    return {path.name for path in (project / "data" / "processed" / "shards").iterdir()}


def say(title: str) -> None:
    print(f"\n{title}\n", flush=True)


if __name__ == "__main__":
    main()
