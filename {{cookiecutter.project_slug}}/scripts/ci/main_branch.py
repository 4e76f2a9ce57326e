"""A push to the default branch: the version of its last commit is registered, linked, verified and attested."""

from attest import attest, keep_log
from credentials import aws_role
from repository import Repository
from results import (
    bring_up_to_date,
    has_model,
    register,
    store_is_of_this_machine,
    version_is_registered,
    without_erased,
)
from steps import StopError, must
from steps import run as run_command


def run(service, *, as_committed):
    """Exit status: that of `lineage verify` about the model of the commit; 0 where records of it were erased."""
    if service.branch != service.default_branch:
        raise StopError(f"{service.branch} is not the default branch {service.default_branch}.")
    repository = Repository(service)
    repository.begin(service.branch, service.commit)
    runs = service.writes and not as_committed
    with aws_role(service):
        if runs:
            bring_up_to_date(repository, service.branch)
        if not has_model():
            print("dvc.lock holds no training yet: there is nothing to verify.")
            return 0
        if store_is_of_this_machine():
            print("MLflow's store is a file on another machine: what Git and DVC hold is verified, nothing is linked.")
            print("Not attested: only a version in a registry can be.")
            return without_erased(run_command("lineage", "verify", "lineage.json", **repository.variables))
        if runs and not version_is_registered():
            register(repository, service.branch)
        if service.writes:
            must("lineage", "link", tries=3, **repository.variables)
        status = run_command("lineage", "verify", "HEAD", **repository.variables)
        if service.writes and status == 0:
            attest(repository)
        if service.writes and status in (0, 3):
            try:
                keep_log(repository)
            finally:  # a log that is not as it was holds back nothing
                send_evidence(repository, service.branch)
        return without_erased(status)


def send_evidence(repository, branch):
    """Pushes the attestation and the log. Raises StopError if the branch does not take them."""
    if not repository.is_ahead_of(branch) or repository.push_onto(branch):
        return
    raise StopError(
        f"{branch} did not take the attestation or the log: see above. The next job of {branch} tries again."
    )
