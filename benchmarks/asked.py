"""Asks one question of an audit in a process of its own, in the project of this folder, and prints what it took.

    python asked.py subject ID        python asked.py excluded ID SINCE

The answer is JSON: CPU seconds with those of children of each part, memory, and what was found.
"""

import json
import sys
from datetime import datetime
from pathlib import Path

from filled import Clock, cpu

sys.path.insert(0, str(Path.cwd()))


def main():
    question, wanted, *since = sys.argv[1:]
    clock, seconds = Clock(), {}

    import duckdb  # noqa: F401
    import mlflow
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    from lineage.audit.exclusion import excluded
    from lineage.audit.manifests import Manifests
    from lineage.audit.questions import subject
    from lineage.proof.case import Evidence

    seconds["imports"] = clock.lap()
    evidence = Evidence(Path.cwd())
    _ = evidence.places.cache, evidence.places.remote_or_none
    _ = evidence.git_models, evidence.history.times, evidence.history.worktrees, evidence.erasures.all
    seconds["opening Git and DVC"] = clock.lap()
    _ = evidence.store.every, evidence.store.experiments, evidence.store.runs
    seconds["opening MLflow"] = clock.lap()
    answer = excluded(evidence, [wanted], datetime.fromisoformat(*since)) if since else subject(evidence, [wanted])
    seconds["question"] = clock.lap()
    seconds["command"] = cpu()
    datasets = sorted({md5 for use in (answer.after if since else answer.uses) for md5 in use.datasets})
    if question == "subject":
        datasets = evidence_datasets(evidence)
        clock.lap()
        records = Manifests(evidence, datasets).records_of([wanted])
        seconds["look-up"] = clock.lap()
        assert tuple(records) == answer.records
        assert not answer.unknown, answer.unknown[:3]
    else:
        assert answer.verdict == "PASSED", answer.reasons[:3]
    # the peak of getrusage would count the process that started this one
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    found = {"uses": len(answer.after if since else answer.uses), "datasets": len(datasets)}
    if not since:
        found |= {"holding": len({record.dataset for record in records}), "records": len(records)}
    print(json.dumps({"seconds": seconds, "MiB": peak / 1024, **found}))


def evidence_datasets(evidence):
    from lineage.audit.scope import Scope

    return Scope(evidence).datasets


main()
