"""The links of what the stages logged: parameters, metrics, and the runs beside the training."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from ...base.errors import LineageError
from ...chain.document import scores_by_name
from ...chain.facts import CONTEXTS, ROLE
from ...contract import Role
from ...dvc.dvcfile import Stage, locked_hash, locked_params
from ...git.tree import LINEAGE
from ...settings import flatten
from ..case import ModelCase
from ..dataset import describe
from ..recompute import CheckResult
from ..stage_runs import history, runs_after, runs_before, store_of_training, training_run
from .code_of_run import compare_changed
from .commit import compare_data_names
from .registry import compare_dataset_inputs
from .shown import compare_shown, logged_model, same

if TYPE_CHECKING:
    from mlflow.entities import Run

    from ...tracking.store import Store

BESIDE = {"data_git_commit_id"}  # a parameter that is no setting
OF_MACHINE = "system/"  # what MLflow itself measures, if it is asked to


def parameters(case: ModelCase) -> CheckResult:
    """The parameters of the runs of training and evaluation against those of dvc.lock, none more and none less."""
    result = CheckResult()
    run, evaluation = training_run(case), case.stage(Role.SCORES)
    _compare_params(case, run, case.training, result)
    named = {key: value for key, value in run.data.params.items() if key in BESIDE}
    compare_data_names(case, result, named, f"a parameter of run {run.info.run_id}")
    runs = [run for _, run in runs_after(case, Role.SCORES)]
    if runs and not any(_has_params(case, run, evaluation) for run in runs):
        _compare_params(case, runs[-1], evaluation, result)
    if case.version is not None:
        expected, model = _expected_params(case, case.training), logged_model(case)
        logged = model.params or {}  # those of `register`, which may have run with other settings of its own since
        for key in sorted({*logged} & {*expected}):
            result.equal(f"{key} of {case.version.source}", logged[key], expected[key])
    return result


def metrics(case: ModelCase) -> CheckResult:
    """The metrics of the runs before, of and after the training against the files that their stages made."""
    result = CheckResult()
    run, unknown = training_run(case), set[str]()
    evaluation = case.stage(Role.SCORES)
    unknown |= _compare_metrics(case, store_of_training(case), run, case.training, result)
    scores, _ = _reported(case, evaluation)
    for key, value in scores_by_name(case.document["metrics"]).items():
        result.equal(f"{key} in {LINEAGE}", value, scores.get(key), f"the stage {evaluation.name}")
    for key in sorted(unknown & {*scores}):  # only the evaluation logs them, and in a run of its own
        where = f"the stage {evaluation.name}"
        result.equal(f"{key} of run {run.info.run_id}", run.data.metrics[key], scores[key], where)
    unknown -= {*scores}
    made = [(store, run) for store, run in runs_after(case, Role.SCORES) if _has_params(case, run, evaluation)]
    results = [CheckResult() for _ in made]
    for one, (store, run) in zip(results, made, strict=True):
        unknown |= _compare_metrics(case, store, run, evaluation, one)
    if results:  # it may have been run again with other code: one of them wrote what is in Git
        best = next((one for one in results if not one.faults), results[-1])
        result.looked_at += best.looked_at
        result.faults += best.faults
    else:
        result.note += f"; MLflow holds no run of {evaluation.name} with these settings"
    unknown |= _compare_counts(case, result)
    unknown |= compare_shown(case, result)
    if unknown:
        result.note += f"; not compared, because no file of DVC holds them: {', '.join(sorted(unknown))}"
    return result


def other_runs(case: ModelCase) -> CheckResult:
    """What the runs before and after the training say of the dataset, the model and the code they ran with."""
    result = CheckResult()
    document = case.document
    made = {"dvc_raw_md5": document["raw"]["md5"], "dvc_data_md5": document["dataset"]["md5"]}
    used = {**made, "dvc_model_md5": document["model"]["md5"], "dvc_run_md5": document["training_run"]["md5"]}
    before = [run for _, run in runs_before(case)]
    of_raw = [run for run in before if run.data.tags.get("dvc_raw_md5") == made["dvc_raw_md5"]]
    _compare_best(case, of_raw or before, made, None, result)
    none = [] if before else [case.stage(Role.DATASET).name]
    for role in (Role.SCORES, Role.CHAIN):
        runs = [run for _, run in runs_after(case, role)]
        _compare_best(case, runs, used, CONTEXTS[role], result)
        none += [] if runs else [case.stage(role).name]
    if none:
        result.note = f"; MLflow holds no run of {', '.join(none)} for this model"
    if case.version is not None and (run_id := case.version.tags.get("register_run_id")):
        run = case.evidence.store.run(run_id)
        result.equal(f"the role of run {run_id}", run and run.data.tags.get(ROLE), Role.CHAIN, "the version")
    return result


def _compare_best(
    case: ModelCase, runs: list[Run], hashes: dict[str, str], context: str | None, result: CheckResult
) -> None:
    """One of the runs of a stage led to what is in Git: that with the fewest objections counts."""
    found = []
    for run in runs:
        one = CheckResult()
        for tag, value in hashes.items():
            one.equal(f"{tag} of run {run.info.run_id}", run.data.tags.get(tag), value, LINEAGE)
        if context:
            compare_dataset_inputs(case, run, context, one)
        compare_changed(case, run.data.tags, one, f"run {run.info.run_id}")
        found.append(one)
    if found:
        best = min(found, key=lambda one: (len(one.faults), len(one.unknown)))
        result.looked_at += best.looked_at
        result.faults += best.faults
        result.unknown += best.unknown


def _expected_params(case: ModelCase, stage: Stage) -> dict[str, str]:
    stages = [*reversed(case.recorded.pipeline.upstream(stage)), stage]
    locked = {key: value for one in stages for key, value in locked_params(case.lock.get(one.name)).items()}
    return {key: str(value) for key, value in flatten(locked).items()}


def _logged_params(run: Run) -> dict[str, str]:
    return {key: value for key, value in run.data.params.items() if key not in BESIDE}


def _has_params(case: ModelCase, run: Run, stage: Stage) -> bool:
    return _logged_params(run) == _expected_params(case, stage)


def _compare_params(case: ModelCase, run: Run, stage: Stage, result: CheckResult) -> None:
    expected, logged = _expected_params(case, stage), _logged_params(run)
    for key in sorted({*expected, *logged}):
        result.equal(f"{key} of run {run.info.run_id}", logged.get(key), expected.get(key))


def _compare_metrics(case: ModelCase, store: Store, run: Run, stage: Stage, result: CheckResult) -> set[str]:
    """Last values and every step against the reports of a stage. Returns the metrics that no report holds."""
    final, steps = _reported(case, stage)
    for key in sorted({*final, *steps}):
        expected = {**steps.get(key, {}), **({0: final[key]} if key in final else {})}
        found = history(store, run, key)
        what = f"{key} of run {run.info.run_id}"
        result.equal(f"the steps of {what}", sorted({point.step for point in found}), sorted(expected), "the stage")
        for point in found:
            if point.step in expected and not same(point.value, expected[point.step]):
                result.fault(f"{what} at step {point.step} is {point.value}, the stage wrote {expected[point.step]}")
        last = expected[max(expected)]
        shown = run.data.metrics.get(key)
        is_right = shown is not None and same(shown, last)
        result.equal(f"the last {what}", last if is_right else shown, last, "the stage")
    return {key for key in run.data.metrics if key not in {*final, *steps} and not key.startswith(OF_MACHINE)}


def _reported(case: ModelCase, stage: Stage) -> tuple[dict[str, float], dict[str, dict[int, float]]]:
    """What the files of a stage say under the names of MLflow: final values, and values by step (epoch)."""
    final: dict[str, float] = {}
    steps: dict[str, dict[int, float]] = {}
    for path in stage.reports:
        md5 = locked_hash(case.lock.get(stage.name), "outs", path)
        if md5 is None:
            continue
        if path.endswith(".json"):
            document: dict[str, Any] = flatten(json.loads(case.evidence.objects.read(md5)))
            final |= {key.replace(".", "_"): value for key, value in document.items() if _is_number(value)}
        elif path.endswith(".csv"):
            rows = list(csv.DictReader(io.StringIO(case.evidence.objects.read(md5).decode())))
            for row in rows if rows and "epoch" in rows[0] else []:
                for key, text in row.items():
                    if key != "epoch":
                        steps.setdefault(key, {})[int(row["epoch"])] = float(text)
    return final, steps


def _compare_counts(case: ModelCase, result: CheckResult) -> set[str]:
    """Records and subjects by split, as each run that made the dataset version logged them."""
    runs = runs_before(case)
    if not runs:
        return set()
    try:
        described = describe(case.evidence.objects, case.document["dataset"]["md5"])
    except LineageError:  # the link `dataset` says more
        result.note += "; the counts of the dataset cannot be had"
        return set()
    kinds = ("records", "subjects")
    counts = {f"{split}_{kind}": count for kind in kinds for split, count in described[kind].items()}
    for _, run in runs:
        for key, count in counts.items():
            result.equal(f"{key} of run {run.info.run_id}", run.data.metrics.get(key), count, "the dataset")
    return {key for _, run in runs for key in run.data.metrics if key not in counts and not key.startswith(OF_MACHINE)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
