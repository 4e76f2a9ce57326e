"""The life of a model on SageMaker, without an account: against the stand-in for AWS of the tests.

From raw data to an answered request: pipeline, collect, verify, promote, the Model Registry, deploy, invoke. Then
somebody opts out: the event of that starts the pipeline again, up to the next version at the same endpoint. Last, what
is left is cleared up.
The account has the buckets, roles and the rule of infra/. All lies in a temporary folder and is gone afterwards.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from aws_standin.container import can_run  # noqa: E402
from baked import Project  # noqa: E402
from cloud import IMAGE  # noqa: E402
from events import say_registry_changed, set_up_opt_out  # noqa: E402
from governed import Governed, governed, overrides, registry, write_registry  # noqa: E402
from project import NAME  # noqa: E402

CONFIG = "[user]\n\tname = demo\n\temail = nobody@localhost\n[init]\n\tdefaultBranch = main\n"
FIRST, SECOND, CHAMPION = (f"models:/{NAME}{which}" for which in ("/1", "/2", "@champion"))
WHO = "PAT-00023"
NOW = ("--older-than", "0")  # in life, what is of today stays for a day


def main() -> None:
    if not can_run():
        sys.exit("This machine forbids mount namespaces (`unshare --mount`), in which the stand-in runs its jobs.")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, account(Path(folder)) as running:
        life = Life(running, Path(folder))
        for part in (life.train, life.serve, life.opt_out, life.serve_again, life.clear_away):
            part()
    print(f"\nThe project, the store and the account of this demonstration are deleted ({_since(began)}).")


@contextmanager
def account(folder: Path) -> Iterator[Governed]:
    """The running parts. The pipeline's name is known to the rule before the pipeline is there: an event starts it."""
    (folder / "gitconfig").write_text(CONFIG)
    git = {"GIT_CONFIG_GLOBAL": str(folder / "gitconfig"), "DVC_NO_ANALYTICS": "1"}
    here = Project(folder / NAME, Path(sys.prefix), git)
    with governed(folder, here) as running:
        set_up_opt_out(running.infrastructure, running.client)
        yield running


@dataclass
class Life:
    """The commands of a person at a terminal, who works as the launcher of infra/; and what others do meanwhile."""

    account: Governed
    folder: Path
    began: float = field(default_factory=time.monotonic)
    revoked: dict[str, str] = field(default_factory=dict)  # since when, by subject
    image: str = ""  # a file with one raw image

    def train(self) -> None:
        """Raw data, pipeline, collect, verify, promote; what was decided, in SageMaker's Model Registry."""
        running = self.account
        print(f"AWS is {running.endpoint}, MLflow is {running.tracking}, the image is {IMAGE}")
        self.say("Settings and raw data. Who may be used is in a consent registry on S3")
        write_registry(running, self.revoked)
        self.lineage("compose", *self.settings())
        self.call("dvc", "repro", "consent", "fetch")
        self.commit("To SageMaker")
        self.say("The pipeline of this commit, into the account, and an execution of it")
        self.lineage("pipeline", "upsert")
        self.lineage("pipeline", "start")
        self.collect("First model")
        self.say("Is it what it says, and may it go live?")
        self.lineage("verify", FIRST, "--rehash")
        self.lineage("promote", FIRST, "--to", "champion")
        self.say("SageMaker's Model Registry approves what was decided")
        self.lineage("aws", "registry", "sync")

    def serve(self) -> None:
        """Deploy, invoke; and the pipeline of what is committed now, which an event may start."""
        self.say("At an endpoint, that answers")
        self.lineage("deploy", CHAMPION)
        self.lineage("invoke", self.one_image())
        self.say("The pipeline of this commit: what an opt-out starts from now on")
        self.lineage("pipeline", "upsert")

    def opt_out(self) -> None:
        """Somebody opts out: the registry changes, the event starts the pipeline by the rule of infra/."""
        self.say(f"{WHO} opts out. Whoever keeps the registry says that it has changed, and nobody starts anything")
        known = self.executions()
        self.revoked[WHO] = datetime.now(UTC).isoformat(timespec="seconds")
        write_registry(self.account, self.revoked)
        print(f"# {registry(self.account)}: {WHO},revoked,{self.revoked[WHO]}")
        say_registry_changed(self.account.infrastructure, self.account.client("events"))
        print(f"# aws events put-events: {len(self.executions()) - len(known)} execution began, by the rule")
        self.lineage("audit", "affected", answers=(1,))
        self.collect("Opt-out")

    def serve_again(self) -> None:
        """The next version at the same endpoint, and the proof about the person."""
        self.say("The version without these records, at the same endpoint")
        self.lineage("verify", SECOND, "--rehash")
        reason = f"comparison: the same data without a person who opted out, execution {self.executions()[-1]}"
        self.lineage("promote", SECOND, "--to", "champion", "--accept", reason)
        self.lineage("aws", "registry", "sync")
        self.lineage("deploy", CHAMPION)
        self.lineage("invoke", self.one_image())
        self.lineage("status")
        self.lineage("audit", "excluded", WHO, "--since", self.revoked[WHO], "--certificate", "certificate")

    def clear_away(self) -> None:
        """What is left in the account, what it costs, and what stays."""
        self.say("The end: no endpoint, and nothing that nobody needs. The steward alone may delete")
        self.lineage("undeploy")
        steward = self.account.act_as(self.account.infrastructure.outputs()["StewardRole"], self.account.project)
        self.lineage("aws", "cleanup", "--plan", *NOW, project=steward)
        self.lineage("aws", "cleanup", "--execute", "--yes", "--also", "captured", *NOW, project=steward)

    def settings(self) -> list[str]:
        """What sends stages to the account: its roles and buckets, the registry, a gate, and how the endpoint works."""
        outputs = self.account.infrastructure.outputs()
        endpoint = {"image": IMAGE, "role": outputs["EndpointRole"], "capture.percent": 100}
        return overrides(
            self.account,
            "privacy=registry",
            f"privacy.registry.path={registry(self.account)}",
            "+promotion.thresholds.at_least.test.accuracy=0.1",
            *(f"serving.endpoint.{key}={value}" for key, value in endpoint.items()),
        )

    def executions(self) -> list[str]:
        """The ids of the executions of the pipeline, oldest first."""
        found = self.account.client("sagemaker").list_pipeline_executions(PipelineName=NAME)
        ordered = sorted(found["PipelineExecutionSummaries"], key=lambda each: each["StartTime"])
        return [each["PipelineExecutionArn"].rpartition("/")[2] for each in ordered]

    def collect(self, message: str) -> None:
        """The newest execution, once it has ended: looked at, collected, committed, pushed, linked."""
        self.wait()
        execution = self.executions()[-1]
        self.lineage("pipeline", "status", execution)
        self.lineage("pipeline", "collect", execution)
        self.commit(message)
        self.call("dvc", "push", "--quiet")
        self.lineage("link")

    def wait(self) -> None:
        """Until no execution goes on."""
        client, began = self.account.client("sagemaker"), time.monotonic()
        while any(
            each["PipelineExecutionStatus"] == "Executing"
            for each in client.list_pipeline_executions(PipelineName=NAME)["PipelineExecutionSummaries"]
        ):
            time.sleep(0.5)  # between two looks
        print(f"# the execution has ended ({_since(began)})", flush=True)

    def one_image(self) -> str:
        """A file with a raw image, as a scanner would bring it."""
        import pyarrow.parquet as pq

        path = self.folder / "scan.png"
        image = pq.read_table(self.account.project.root / "data" / "raw" / "records.parquet", columns=["image"])
        path.write_bytes(image["image"][0].as_py())
        return str(path)

    def commit(self, message: str) -> None:
        self.call("git", "add", "--all")
        self.call("git", "commit", "--quiet", "--message", message)

    def lineage(self, *arguments: str, answers: Collection[int] = (0,), project: Project | None = None) -> None:
        self.call("lineage", *arguments, answers=answers, project=project)

    def call(self, *command: str, answers: Collection[int] = (0,), project: Project | None = None) -> None:
        """Shows and runs a command. Ends the demonstration unless its exit status is one of `answers`."""
        print(f"$ {' '.join(command)}", flush=True)
        run = ("python", "-m", "lineage.cli", *command[1:]) if command[0] == "lineage" else command
        code = (project or self.account.project).start(*run, stdout=None, stderr=None).wait()
        if code not in answers:
            sys.exit(f"`{' '.join(command)}` ended with {code}.")

    def say(self, title: str) -> None:
        print(f"\n{title} ({_since(self.began)} so far)\n", flush=True)


def _since(moment: float) -> str:
    return f"{time.monotonic() - moment:.0f} s"


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    main()
