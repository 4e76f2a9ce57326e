"""What comes back from another place is taken for nothing but what was asked there, whatever its report says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from baked import Project

# a backend of the project's own, whose jobs are reports alone
BACKEND = '''
"""Tries every report in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from lineage.base.errors import DispatchError
from lineage.compute.backend import JobState
from lineage.compute.report import read_report
from lineage.compute.transfer import Transfer
from lineage.settings.section import Section


class Reports(Section):
    file: str
    is_elsewhere: ClassVar[bool] = True

    def prepare(self, execution: Any, inputs: Any) -> Run:
        return Run(Path(self.file), Transfer(execution, inputs))

    @classmethod
    def describe_job(cls, root: Path) -> dict[str, Any]:
        return {}

    @classmethod
    def look_after(cls, note: Any, *, stop: bool) -> JobState:
        return JobState("there is no job", is_over=True)


class Run:
    def __init__(self, file: Path, transfer: Transfer) -> None:
        self._file, self._transfer = file, transfer

    def run(self, outputs: Any, work: Any, check: Any, tell: Any) -> None:
        for name, entry in json.loads(self._file.read_text()).items():
            try:
                self._transfer.bring(read_report(json.dumps({"entry": entry, "job": {}}).encode(), name), name, outputs)
                print(f"{name}: taken")
            except DispatchError as error:
                print(f"{name}: {error}")
        raise DispatchError("every report was tried.")
'''
CONF = """
defaults:
  - local
  - _self_

evaluate: reports
preprocess: reports
train: reports
reports:
  _target_: traceable_digits.reports.Reports
  file: FILE
"""
Entry = dict[str, Any]


def other_command(entry: Entry) -> None:
    entry["cmd"] += " --quick"


def other_setting(entry: Entry) -> None:
    entry["params"]["params.yaml"]["evaluate"]["batch_size"] = 128


def one_setting_less(entry: Entry) -> None:
    del entry["params"]["params.yaml"]["evaluate"]["threads"]


def other_input(entry: Entry) -> None:
    entry["deps"][0]["md5"] = f"{'0' * 32}.dir"


def other_code(entry: Entry) -> None:
    next(dep for dep in entry["deps"] if dep["path"] == "traceable_digits/model")["md5"] = f"{'0' * 32}.dir"


def one_input_less(entry: Entry) -> None:
    entry["deps"] = [dep for dep in entry["deps"] if dep["path"] != "models/model.safetensors"]


def one_output_less(entry: Entry) -> None:
    del entry["outs"][0]


def folder_for_a_file(entry: Entry) -> None:
    entry["outs"][0]["md5"] += ".dir"


def file_for_a_folder(entry: Entry) -> None:
    entry["outs"][0]["md5"] = entry["outs"][0]["md5"].removesuffix(".dir")


def run_of_another_training(entry: Entry) -> None:
    """Everything in it is right, but for the run: it is not the one that was opened for this execution."""
    entry["params"]["params.yaml"]["train"]["weight_decay"] = 1e-05  # a text to YAML 1.1, a number to jobs


REPORTS: dict[str, dict[Callable[[Entry], None], str]] = {
    "evaluate": {
        other_command: "worked with another its command",
        other_setting: "worked with another evaluate.batch_size (it was 256)",
        one_setting_less: 'worked with another evaluate.threads (it was "auto")',
        other_input: "worked with another data/processed",
        other_code: "worked with another traceable_digits/model",
        one_input_less: "worked with another models/model.safetensors",
        one_output_less: "does not report data/predictions.parquet, which dvc.yaml declares",
        folder_for_a_file: "brought a folder for data/predictions.parquet",
    },
    "preprocess": {file_for_a_folder: "brought a file for data/processed"},
    "train": {run_of_another_training: "brought the record of another run"},
}


def test_a_report_of_something_else_than_was_asked(project: Project) -> None:
    file = project.root.parent / "reports.json"
    (project.root / "traceable_digits" / "reports.py").write_text(BACKEND)
    (project.root / "conf" / "compute" / "reports.yaml").write_text(CONF.replace("FILE", str(file)))
    # its own package, as in an environment of its own
    project.environment["PYTHONPATH"] = str(project.root)
    uri = f"tracking.uri=sqlite:///{project.root}/mlflow.db"
    project.compose("compute=reports", uri, "train=debug", "train.seed=5", "train.weight_decay=1e-5")
    before = project.results()
    for stage, changes in REPORTS.items():
        entries = {change.__name__: project.lock[stage] for change in changes}
        for change in changes:
            change(entries[change.__name__])
        file.write_text(json.dumps(entries))
        output = project.dvc("repro", "--force", "--single-item", stage, code=255)
        assert "every report was tried" in output
        assert "Traceback" not in output
        for change, said in changes.items():
            assert f"{change.__name__}: job {change.__name__} {said}" in output, output
        assert project.results() == before
        assert project.store().runs(stage)[-1].info.status == "FAILED"
