"""A pull request: its pipeline is run, its results are pushed, and one comment says what it does to the model."""

import tempfile
from pathlib import Path

from credentials import aws_role
from repository import Repository
from results import bring_up_to_date, store_is_of_this_machine, without_erased
from steps import OutdatedError, StopError, must
from steps import run as run_command

MARK = "<!-- lineage report -->"
PLOTS, DIFF = "### Plots", "<details>"  # where they begin in the text
PICTURES_AT = "pictures-of-this-report"  # in the text, until their commit is known


def run(service, *, as_committed):
    """Exit status: that of `lineage verify` about the model of the branch; 0 where records of it were erased."""
    if service.is_fork:
        raise StopError(
            "this comes from a fork: its code is given no credentials. A maintainer can push it to a branch."
        )
    try:
        repository = Repository(service)
        repository.begin(service.branch, service.commit)
        with aws_role(service):
            if service.writes and not as_committed:
                bring_up_to_date(repository, service.branch)
            if service.writes and not store_is_of_this_machine():
                must("lineage", "link", tries=3, **repository.variables)
            return without_erased(report(service, repository))
    except OutdatedError:
        raise
    except Exception as error:  # what an earlier job has said is not about this commit
        withdraw(service, error)
        raise


def withdraw(service, error):
    """Writes that there is no report, in the place of the one before."""
    if not service.writes:
        return
    why = str(error) if isinstance(error, StopError) else "see the log of the job."  # which an id may be in
    try:
        service.comment(MARK, f"There is no report about this commit: {why}\n\n{about(service)}")
    except StopError as another:
        print(f"ci: nor does a comment say so: {another}")


def about(service):
    """Which commit a comment is about, and where it comes from."""
    return f"About commit {service.commit[:12]}: {service.job_url}\n"


def report(service, repository):
    """Writes the comment. Returns the exit status of verify."""
    with tempfile.TemporaryDirectory() as folder:
        text, pictures = Path(folder) / "report.md", Path(folder) / "pictures"
        at = ("--pictures", str(pictures), "--pictures-at", PICTURES_AT)
        sides = (f"origin/{service.target}", "HEAD")
        status = run_command("lineage", "report", *sides, "--to", str(text), *at, **repository.variables)
        if not text.exists():
            raise StopError("the report could not be made: see the log of the job.")
        said = _with_pictures(service, repository, text.read_text(encoding="utf-8"), pictures)
    service.comment(MARK, f"{said}\n{about(service)}")
    service.summary(said)
    return status


def _with_pictures(service, repository, text, pictures):
    """The text with the addresses of its pictures. They are a commit beside all branches, one for each pull request."""
    if not service.writes or not any(pictures.iterdir()):
        return text
    commit = repository.keep_pictures(pictures, f"refs/reports/{service.number}")
    if commit is None:
        before, _, rest = text.partition(f"\n{PLOTS}\n")
        said = "They could not be pushed: the log of the job says why."
        return "\n".join([before, PLOTS, "", said, "", DIFF + rest.partition(DIFF)[2]])
    return text.replace(PICTURES_AT, service.picture_url(commit))
