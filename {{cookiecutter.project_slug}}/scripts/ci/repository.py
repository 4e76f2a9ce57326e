"""The clone that the service has made for a job, which is shallow, and has no branch; and what goes back from it."""

import tempfile
from pathlib import Path

from steps import OutdatedError, answer, ask, must, run

HEADS = "+refs/heads/*:refs/remotes/origin/*"
EXPERIMENTS = "+refs/exps/*:refs/exps/*"  # versions may come from them


class Repository:
    """The clone, with the service's token where the remote is asked, and its name where something is committed."""

    def __init__(self, service):
        self.service = service
        self.variables = {**service.people, **service.git_variables()}

    def begin(self, branch, commit):
        """Fetches what linking needs, which is all that holds a dvc.lock, and checks the branch out at a commit.

        Which branch is the default one must be known: on it alone aliases move. Raises OutdatedError where the branch
        has gone on: the job of the newer commit answers for it.
        """
        if not self.service.writes:
            return
        _, shallow = ask("git", "rev-parse", "--is-shallow-repository")
        whole = ["--unshallow"] if shallow == "true" else []
        must(
            "git",
            "fetch",
            "--quiet",
            "--force",
            "--tags",
            *whole,
            "origin",
            HEADS,
            EXPERIMENTS,
            tries=3,
            **self.variables,
        )
        must("git", "remote", "set-head", "origin", self.service.default_branch)
        commit = commit or f"origin/{branch}"
        if answer("git", "rev-parse", f"origin/{branch}") != answer("git", "rev-parse", f"{commit}^{{commit}}"):
            raise OutdatedError(
                f"{branch} has gone on after {commit[:12]}: the job of its newest commit answers for it."
            )
        before = answer("git", "rev-parse", "HEAD")
        must("git", "switch", "--quiet", "--force-create", branch, "--track", f"origin/{branch}")
        if answer("git", "rev-parse", "HEAD") != before:  # the locks may be others
            must("make", "setup")

    def commit_results(self, message):
        """Commits what a run of the pipeline has written. Returns whether there was something."""
        must("git", "add", "--update")
        must("git", "add", "--", "*.gitignore")  # that of a new stage
        return self._commit(message)

    def keep(self, path, message):
        """Commits what is new below a path."""
        must("git", "add", "--", path)
        self._commit(message)

    def _commit(self, message):
        if ask("git", "diff", "--cached", "--quiet")[0] == 0:
            return False
        # the hook of Git would link in the background what may not be pushed yet
        must("git", "-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--message", message, **self.variables)
        return True

    def push(self, *refs, tries=1):
        """Whether the remote took all of the refs, or none of them."""
        return (
            run("git", "push", "--quiet", "--atomic", self.service.git_url, *refs, tries=tries, **self.variables) == 0
        )

    def push_onto(self, branch):
        """Whether the remote took the last commit on a branch, on top of what others have pushed there meanwhile."""
        for _ in range(3):
            if self.push(f"HEAD:refs/heads/{branch}"):
                return True
            must("git", "fetch", "--quiet", "origin", branch, tries=3, **self.variables)
            if ask("git", "rebase", "--quiet", f"origin/{branch}", **self.variables)[0]:
                run("git", "rebase", "--abort")
                break
        return False

    def is_ahead_of(self, branch):
        """Whether the last commit is not what the remote had on a branch when it was asked."""
        return answer("git", "rev-parse", "HEAD") != answer("git", "rev-parse", f"origin/{branch}")

    def keep_pictures(self, folder, ref):
        """Commits the files of a folder beside all branches, in place of those of before. Returns the commit."""
        with tempfile.TemporaryDirectory() as scratch:
            own = {**self.variables, "GIT_INDEX_FILE": str(Path(scratch) / "index"), "GIT_WORK_TREE": str(folder)}
            place = {**own, "GIT_DIR": answer("git", "rev-parse", "--absolute-git-dir")}
            must("git", "add", "--all", "--force", ".", **place)
            tree = answer("git", "write-tree", **place)
        commit = answer("git", "commit-tree", tree, "-m", "Plots of a report", **self.variables)
        return commit if self.push(f"+{commit}:{ref}", tries=3) else None
