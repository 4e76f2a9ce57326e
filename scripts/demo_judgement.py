"""Which of two versions may go live? Bakes a project into demo-judgement/ and decides, twice.

First 5% of the records and then 10%: what changed, is it better, who says so. Then a scanner that brightens its images:
somebody leaves them out of the training, and the version is refused. Running it again starts over; only the environment
is kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

from demo_optout import say
from project import NAME, TEMPLATE, call, commit, fresh_folder, identity, setup, shown

DEMO = TEMPLATE / "demo-judgement"
SCANNERS = Path(__file__).with_name("two_scanners.py")
FIRST, SECOND, THIRD, FOURTH = (f"models:/{NAME}/{number}" for number in range(1, 5))
ANY = (0, 1, 2)
FOLDER = (
    "data=image_folder",
    "data.source.path=../scans",
    "data.source.table=records.csv",
    "data.source.splits=keep",
    "data.image.size=8",
    "data.image.channels=1",
    "data.columns=[scanner]",
    "evaluate.slices=[scanner]",
)


def main() -> None:
    project = fresh_folder(DEMO)
    setup(project)
    if len(who := identity(project)) > 1:  # decisions are somebody's
        for setting in who[2::2]:
            call(project, "git", "config", *setting.split("="))
    five_and_ten_percent(project)
    a_scanner_that_brightens(project)
    print(
        f"""
try next      cd {shown(project)}
              . .venv/bin/activate
              lineage history champion
              lineage diff {THIRD} {FOURTH} --html diff.html
              lineage demote champion --reason 'only to see it'
              lineage verify --all
"""
    )


def five_and_ten_percent(project: Path) -> None:
    say("Version 1: 5% of the records. It is the first, so there is nothing to compare it with")
    make_version(project, "5% of the records", "data.fraction=0.05")
    call(project, "lineage", "promote", FIRST, "--to", "champion")
    say("Version 2: 10%. The 5% are among them")
    make_version(project, "10% of the records", "data.fraction=0.1")
    call(project, "lineage", "diff", FIRST, SECOND, answers=ANY)
    say("Is it better? The test records that both have are too few to say, so a person has to")
    call(project, "lineage", "promote", SECOND, "--to", "champion", answers=(2,))
    reason = "all: twice the records, looked at by hand"
    call(project, "lineage", "promote", SECOND, "--to", "champion", "--accept", reason)


def a_scanner_that_brightens(project: Path) -> None:
    say("Version 3: other records, of two scanners, of which B brightens its images")
    call(project, "python", str(SCANNERS), "../scans")
    make_version(project, "Two scanners", *FOLDER)
    reason = "all: other records than before, of two scanners"
    call(project, "lineage", "promote", THIRD, "--to", "champion", "--accept", reason)
    say("Version 4: somebody leaves the images of scanner B out of the training, for they look wrong")
    call(project, "python", str(SCANNERS), "../scans", "--without-b")
    make_version(project, "Without the bright images", *FOLDER)
    call(project, "lineage", "diff", THIRD, FOURTH, answers=ANY)
    call(project, "lineage", "drift", THIRD, FOURTH, answers=ANY)
    say("Refused: worse on scanner B. No reason lets that pass")
    call(project, "lineage", "promote", FOURTH, "--to", "champion", "--accept", "all: it looks fine", answers=(1,))
    call(project, "lineage", "history", "champion")


def make_version(project: Path, message: str, *overrides: str) -> None:
    """Runs the pipeline with these settings, commits, pushes, links."""
    call(project, "lineage", "compose", *overrides)
    call(project, "dvc", "repro", "--quiet")
    commit(project, message)
    call(project, "dvc", "push", "--quiet")
    call(project, "lineage", "link", "--quiet")


if __name__ == "__main__":
    sys.exit(main())
