"""By hand, in the service: a version gets an alias, in the name of whoever approved it, and is deployed.

Read from variables, so that nothing that a person types is part of a command line that a shell reads:
PROMOTE_VERSION, PROMOTE_ALIAS, PROMOTE_ACCEPT ('GATE: REASON', one a line or with ';' between), PROMOTE_DEPLOY (true or
false).
"""

import os
import re

from attest import keep_log
from credentials import aws_role
from repository import Repository
from steps import StopError, answer
from steps import run as run_command

VERSION = re.compile(r"models:/[\w.-]+(/\d+|@[\w.-]+)")
ALIAS = re.compile(r"[A-Za-z][\w-]*")
BETWEEN = re.compile(r"\n|;(?=\s*[\w-]+\s*:)")  # a ';' in a reason has no gate behind it


def run(service):
    """Exit status: that of `lineage promote`, then that of `lineage deploy`."""
    version, alias = os.environ.get("PROMOTE_VERSION", ""), os.environ.get("PROMOTE_ALIAS") or "champion"
    if not VERSION.fullmatch(version):
        raise StopError(f"{version!r} is no version: give models:/NAME/NUMBER or models:/NAME@ALIAS.")
    if not ALIAS.fullmatch(alias):
        raise StopError(f"{alias!r} is no alias: give champion, or another of promotion.aliases.")
    if not service.writes:
        raise StopError("by hand, that is `lineage promote` and `git push`: docs/promotion.md.")
    reasons = accepted(os.environ.get("PROMOTE_ACCEPT", ""))
    repository = Repository(service)
    repository.begin(service.default_branch, None)
    name, address = service.reviewer()
    person = dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), name)
    person |= dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), address)
    accepts = [f"--accept={reason}" for reason in reasons]
    with aws_role(service):
        before = answer("git", "rev-parse", "HEAD")
        repository.variables |= person
        status = run_command("lineage", "promote", version, "--to", alias, *accepts, **repository.variables)
        decided = answer("git", "rev-parse", "HEAD") != before
        if decided:
            send(service, repository, alias)
        if status == 0 and os.environ.get("PROMOTE_DEPLOY") == "true":
            # what was decided on: another alias, such as candidate, may name another version in a moment
            what = f"{version.partition('@')[0]}@{alias}" if "@" in version else version
            return run_command("lineage", "deploy", what)
        return status


def accepted(text):
    """Each 'GATE: REASON' of a text."""
    return [reason for each in BETWEEN.split(text) if (reason := each.strip())]


def send(service, repository, alias):
    """Pushes the decision. The alias has moved already: a decision that cannot be pushed must not be lost."""
    branch = service.default_branch
    try:
        keep_log(repository)
    except StopError as error:  # the job of the branch is red for that
        print(f"ci: {error}")
    if repository.push_onto(branch):
        return
    aside = f"promotion/{alias}-{answer('git', 'rev-parse', '--short=12', 'HEAD')}"
    kept = repository.push(f"HEAD:refs/heads/{aside}", tries=3)
    where = f"It is on the branch {aside}: merge that." if kept else "It is nowhere but in the log: `git show` above."
    if not kept:
        run_command("git", "show", "HEAD")
    raise StopError(
        f"the decision was made, the alias {alias} has moved, and {branch} did not take the commit. {where}"
    )
