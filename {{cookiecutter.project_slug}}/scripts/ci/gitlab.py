"""GitLab CI, by its variables and its API.

https://docs.gitlab.com/ci/variables/predefined_variables/
"""

import os
from functools import cached_property
from urllib.parse import quote

from credentials import git_variables
from steps import StopError
from web import ask, pages

LABEL = "lineage"


class GitLab:
    """The job that runs now. `writes`: its results are pushed, and it answers where people look."""

    writes = True

    def __init__(self):
        self.api = f"{os.environ['CI_API_V4_URL']}/projects/{quote(os.environ['CI_PROJECT_ID'])}"
        self.job_url = os.environ["CI_JOB_URL"]
        self.git_url = f"{os.environ['CI_PROJECT_URL']}.git"
        self.default_branch = os.environ["CI_DEFAULT_BRANCH"]
        self.number = os.environ.get("CI_MERGE_REQUEST_IID")

    @property
    def is_fork(self):
        """Whether this is a merge request from another project: its code may not have what this one is trusted with."""
        source = os.environ.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", os.environ["CI_PROJECT_ID"])
        return source != os.environ["CI_PROJECT_ID"]

    @property
    def branch(self):
        return os.environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME") or os.environ["CI_COMMIT_BRANCH"]

    @property
    def commit(self):
        # the latter is set where pipelines are of merged results: CI_COMMIT_SHA is then no commit of the branch
        return os.environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or os.environ["CI_COMMIT_SHA"]

    @property
    def target(self):
        return os.environ.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME") or self.default_branch

    @property
    def people(self):
        """Variables of Git for what the job commits."""
        name, address = "GitLab CI", f"ci@{os.environ['CI_SERVER_HOST']}"
        return {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": address} | {
            "GIT_COMMITTER_NAME": name,
            "GIT_COMMITTER_EMAIL": address,
        }

    def reviewer(self):
        """Name and address of who let the job run: in a protected environment, only who may do that can."""
        name, login = os.environ["GITLAB_USER_NAME"], os.environ["GITLAB_USER_LOGIN"]
        return f"{name} ({login})", os.environ["GITLAB_USER_EMAIL"]

    def picture_url(self, commit):
        """Where the files of a commit are shown."""
        return f"{os.environ['CI_PROJECT_URL']}/-/raw/{commit}"

    def git_variables(self):
        return git_variables(os.environ["CI_SERVER_URL"], "oauth2", self._token)

    def identity_token(self):
        """A token that says to AWS which pipeline this is; it is good for as long as the job may run."""
        if token := os.environ.get("AWS_ID_TOKEN"):
            return token
        raise StopError("AWS_ROLE_ARN is set, and this job has no AWS_ID_TOKEN: `id_tokens` in .gitlab-ci.yml.")

    def comment(self, mark, text):
        """Writes the one note of the merge request that begins with a mark, again if it is there."""
        url, document = f"{self.api}/merge_requests/{self.number}/notes", {"body": f"{mark}\n{text}"}
        own = [each["id"] for each in pages(url, self._headers) if self._is_own(each, "body", mark)]
        if own:  # the newest comes first
            ask("PUT", f"{url}/{own[0]}", self._headers, document)
        else:
            ask("POST", url, self._headers, document)

    def issue(self, mark, title, text, *, opens=True):
        """Writes the open issue with this mark again; without one, opens it, if it `opens` any."""
        document = {"title": title, "description": f"{mark}\n{text}"}
        if found := self._open_issue(mark):
            ask("PUT", f"{self.api}/issues/{found}", self._headers, document)
        elif opens:
            ask("POST", f"{self.api}/issues", self._headers, {**document, "labels": LABEL})

    def no_issue(self, mark, text):
        """Closes the open issue with this mark, if there is one."""
        if found := self._open_issue(mark):
            ask("POST", f"{self.api}/issues/{found}/notes", self._headers, {"body": text})
            ask("PUT", f"{self.api}/issues/{found}", self._headers, {"state_event": "close"})

    def summary(self, text):
        """GitLab's pages of jobs show no text beside the log."""

    def _open_issue(self, mark):
        found = pages(f"{self.api}/issues?state=opened&labels={LABEL}", self._headers)
        return next((each["iid"] for each in found if self._is_own(each, "description", mark)), None)

    def _is_own(self, each, text, mark):
        """Whether a note or an issue begins with a mark, and is of whom the token belongs to.

        Anybody can begin alike. What is written into somebody else's, that person can change later.
        """
        return (each[text] or "").startswith(mark) and each["author"]["id"] == self._user

    @cached_property
    def _user(self):
        return ask("GET", f"{os.environ['CI_API_V4_URL']}/user", self._headers)["id"]

    @cached_property
    def _token(self):
        for name in ("LINEAGE_MAIN_TOKEN", "LINEAGE_CI_TOKEN"):  # the former is there for protected branches alone
            if token := os.environ.get(name):
                return token
        raise StopError(
            "LINEAGE_CI_TOKEN is not set: a project access token (role Developer, api and write_repository), as a "
            "masked variable. A job's own token can write no note. docs/ci.md says which ones."
        )

    @property
    def _headers(self):
        return {"PRIVATE-TOKEN": self._token}
