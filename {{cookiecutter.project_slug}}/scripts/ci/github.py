"""GitHub Actions, by its variables and its API.

https://docs.github.com/en/actions/reference/workflows-and-actions/variables
"""

import json
import os
from functools import cached_property
from pathlib import Path

from credentials import git_variables
from steps import StopError
from web import ask, pages

BOT = ("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")
LABEL = "lineage"


class GitHub:
    """The job that runs now. `writes`: its results are pushed, and it answers where people look."""

    writes = True

    def __init__(self):
        self.repository, self.server = os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_SERVER_URL"]
        self.api = f"{os.environ['GITHUB_API_URL']}/repos/{self.repository}"
        self.job_url = f"{self.server}/{self.repository}/actions/runs/{os.environ['GITHUB_RUN_ID']}"
        self.git_url = f"{self.server}/{self.repository}"
        self.event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        self.pull = self.event.get("pull_request")

    @property
    def is_fork(self):
        """Whether this is a pull request from another repository: its code may have nothing that this one has."""
        head = self.pull["head"]["repo"] if self.pull else {"full_name": self.repository}
        return head is None or head["full_name"] != self.repository  # None: the fork was deleted

    @property
    def number(self):
        return self.pull["number"] if self.pull else None

    @property
    def branch(self):
        return self.pull["head"]["ref"] if self.pull else os.environ["GITHUB_REF_NAME"]

    @property
    def commit(self):
        return self.pull["head"]["sha"] if self.pull else os.environ["GITHUB_SHA"]

    @property
    def target(self):
        return self.pull["base"]["ref"] if self.pull else self.default_branch

    @property
    def default_branch(self):
        repository = self.event.get("repository") or {}
        return repository.get("default_branch") or os.environ["GITHUB_REF_NAME"]  # a schedule runs on the default one

    @property
    def people(self):
        """Variables of Git for what the job commits."""
        return {"GIT_AUTHOR_NAME": BOT[0], "GIT_AUTHOR_EMAIL": BOT[1]} | {
            "GIT_COMMITTER_NAME": BOT[0],
            "GIT_COMMITTER_EMAIL": BOT[1],
        }

    def reviewer(self):
        """Name and address of who approved the job, where its environment asks for that; else of who started it."""
        run = f"{self.api}/actions/runs/{os.environ['GITHUB_RUN_ID']}/approvals"
        approved = [each["user"]["login"] for each in ask("GET", run, self._headers) if each["state"] == "approved"]
        login = approved[-1] if approved else os.environ["GITHUB_TRIGGERING_ACTOR"]
        user = ask("GET", f"{os.environ['GITHUB_API_URL']}/users/{login}", self._headers)
        name = f"{user['name']} ({login})" if user.get("name") else login
        return name, f"{user['id']}+{login}@users.noreply.github.com"

    def picture_url(self, commit):
        """Where the files of a commit are shown."""
        return f"{self.git_url}/raw/{commit}"

    def git_variables(self):
        return git_variables(self.server, "x-access-token", self._token)

    def identity_token(self):
        """A token that says to AWS which workflow this is. Raises StopError where the job may not ask for one."""
        url, secret = (os.environ.get(f"ACTIONS_ID_TOKEN_REQUEST_{part}") for part in ("URL", "TOKEN"))
        if not url or not secret:
            raise StopError("AWS_ROLE_ARN is set, and this job may ask for no identity token: `id-token: write`.")
        found = ask("GET", f"{url}&audience=sts.amazonaws.com", {"Authorization": f"bearer {secret}"})
        return found["value"]

    def comment(self, mark, text):
        """Writes the one comment of the pull request that begins with a mark, again if it is there."""
        url, document = f"{self.api}/issues/{self.number}/comments", {"body": f"{mark}\n{text}"}
        own = [each["id"] for each in pages(url, self._headers) if self._is_own(each, mark)]
        if own:
            ask("PATCH", f"{self.api}/issues/comments/{own[-1]}", self._headers, document)
        else:
            ask("POST", url, self._headers, document)

    def issue(self, mark, title, text, *, opens=True):
        """Writes the open issue with this mark again; without one, opens it, if it `opens` any."""
        document = {"title": title, "body": f"{mark}\n{text}"}
        if found := self._open_issue(mark):
            ask("PATCH", f"{self.api}/issues/{found}", self._headers, document)
        elif opens:
            ask("POST", f"{self.api}/issues", self._headers, {**document, "labels": [LABEL]})

    def no_issue(self, mark, text):
        """Closes the open issue with this mark, if there is one."""
        if found := self._open_issue(mark):
            ask("POST", f"{self.api}/issues/{found}/comments", self._headers, {"body": text})
            ask("PATCH", f"{self.api}/issues/{found}", self._headers, {"state": "closed"})

    def summary(self, text):
        """Shows a text on the page of the job."""
        with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")

    def _open_issue(self, mark):
        found = pages(f"{self.api}/issues?state=open&labels={LABEL}", self._headers)
        return next((each["number"] for each in found if self._is_own(each, mark)), None)

    def _is_own(self, each, mark):
        """Whether a comment or an issue begins with a mark, and is of whom the token belongs to.

        Anybody can begin alike. What is written into somebody else's, that person can change later.
        """
        return (each["body"] or "").startswith(mark) and (each["user"] or {}).get("login") == self._login

    @cached_property
    def _login(self):
        """Who this is: a person, or the bot of an app, which may not ask the other API for its name."""
        said = ask("POST", os.environ["GITHUB_GRAPHQL_URL"], self._headers, {"query": "query { viewer { login } }"})
        if login := ((said.get("data") or {}).get("viewer") or {}).get("login"):
            return login
        raise StopError(f"GitHub does not say whose token this is: {said.get('errors')}")

    @cached_property
    def _token(self):
        if token := os.environ.get("LINEAGE_CI_TOKEN"):
            return token
        raise StopError(
            "LINEAGE_CI_TOKEN is not set: the workflow gives the job's own token, or a secret of that name."
        )

    @property
    def _headers(self):
        return {"Authorization": f"Bearer {self._token}", "X-GitHub-Api-Version": "2022-11-28"}
