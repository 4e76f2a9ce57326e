"""What is going on, or was made and lies in no dvc.lock yet: stages, jobs, executions of pipelines, erasures."""

from __future__ import annotations

import json
from functools import cached_property

import psutil

from ..account.found import Found
from ..account.left import parted
from ..base.errors import DispatchError, LineageError, ProjectError
from ..base.translated import translate_errors
from ..compute.aftercare import look_after
from ..compute.sagemaker.aws import Aws
from ..compute.sagemaker.pipelines.executions import listed
from ..dvc.dvcfile import PARAMS_FILE
from ..erasure.execute import unfinished
from ..proof.case import Evidence
from ..settings import load_settings
from .git_names import names_in

NOTES = (".dvc", "tmp", "rwlock")
MOST = 2**23  # bytes of a report
GOING_ON = ("Executing", "Stopping")


class Pending:
    """`unknown` says why nothing may go now, `names` which objects executions of pipelines have reported."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self.names: set[str] = set()
        self.unknown = [*self._of_dvc(), *self._of_jobs(), *self._of_erasures()]
        try:
            self.unknown += self._of_pipelines()
        except ProjectError as error:
            self.unknown.append(f"whether a pipeline is going on: {error}")

    def _of_dvc(self) -> list[str]:
        """Commands of DVC that work here at this moment."""
        found = []
        for root in dict.fromkeys((self._evidence.main, self._evidence.root, *self._evidence.history.worktrees)):
            path = root.joinpath(*NOTES)
            try:
                notes = json.loads(path.read_bytes())
                writers = list((notes.get("write") or {}).values())
                readers = [each for several in (notes.get("read") or {}).values() for each in several]
                busy = [str(each["cmd"]) for each in (*writers, *readers) if psutil.pid_exists(int(each["pid"]))]
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                found.append(f"{path} cannot be read, so nobody knows whether DVC works there: `lineage doctor`")
                continue
            found += [f"`{busy[0]}` is going on in {root}: wait for its end"] if busy else []
        return found

    def _of_jobs(self) -> list[str]:
        """Stages and jobs that were begun here and are not known to be over."""
        return [item.text for item in look_after(self._evidence.main, stop=False) if item.is_open]

    def _of_erasures(self) -> list[str]:
        try:
            begun = unfinished(self._evidence)
        except LineageError as error:
            return [str(error)]
        return ["an erasure was begun here: `lineage erase --execute` goes on with it"] if begun else []

    def _of_pipelines(self) -> list[str]:
        """Executions that go on; what those that are over have reported counts as needed, collected or not."""
        if (aws := self._aws) is None:
            return []
        found = Found(aws, self._evidence.project_id)
        names = [
            found.described("pipeline", "describe_pipeline", PipelineName=name) for name in found.names["pipeline"]
        ]
        going_on = [
            str(each["PipelineExecutionArn"])
            for said in names
            if said is not None
            for each in listed(aws, str(said["PipelineName"]))
            if each["PipelineExecutionStatus"] in GOING_ON
        ]
        self._read_reports(aws)
        unseen = [f"the pipeline {name} cannot be looked at" for name in found.unseen["pipeline"]]
        return [f"the execution {arn} is going on: wait for its end" for arn in going_on] + unseen

    def _read_reports(self, aws: Aws) -> None:
        bucket, prefix = parted(aws.address("pipelines"))
        with translate_errors(DispatchError, f"could not list the reports in s3://{bucket}/{prefix}"):
            pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
            keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        for key in keys:
            if "/reports/" in key and key.endswith(".json"):
                address = f"s3://{bucket}/{key}"
                data = aws.read(address, MOST)
                if data is None:
                    raise DispatchError(f"{address} is gone: ask again.")
                self.names |= names_in(data)

    @cached_property
    def _aws(self) -> Aws | None:
        settings = load_settings(self._evidence.root / PARAMS_FILE)
        section = settings.compute.backends.get("sagemaker") or {}
        return Aws.of(settings) if section.get("bucket") else None
