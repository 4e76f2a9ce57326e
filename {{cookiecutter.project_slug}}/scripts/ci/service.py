"""Where a job runs: which service, and what it knows of the job. github.py and gitlab.py are alike; this is neither."""

import os

from github import GitHub
from gitlab import GitLab
from steps import StopError, answer, ask


def service_here():
    """The service that runs this job; by hand, none."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        return GitHub()
    return GitLab() if os.environ.get("GITLAB_CI") == "true" else ByHand()


class ByHand:
    """A person's own machine: everything is looked at and shown, nothing is written anywhere."""

    writes = False
    is_fork = False
    number = None
    commit = "HEAD"
    job_url = "by hand"

    @property
    def people(self):
        return {}

    @property
    def default_branch(self):
        status, said = ask("git", "symbolic-ref", "--short", "refs/remotes/origin/HEAD")
        if status:
            raise StopError("which branch is the default one? `git remote set-head origin --auto` asks the remote.")
        return said.removeprefix("origin/")

    @property
    def branch(self):
        return answer("git", "branch", "--show-current")

    @property
    def target(self):
        return self.default_branch

    def git_variables(self):
        return {}

    def identity_token(self):
        return None

    def comment(self, mark, text):
        print(text)

    def issue(self, mark, title, text, *, opens=True):
        print(f"# {title}\n\n{text}")

    def no_issue(self, mark, text):
        print(text)

    def summary(self, text):
        pass
