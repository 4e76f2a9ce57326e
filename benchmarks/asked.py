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
    clock, seconds = Clock(), {}

    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

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
    name, wanted, *since = sys.argv[1:]
    if name == "subject":
        answer = subject(evidence, [wanted])
        assert not answer.unknown, answer.unknown[:3]
        uses, looked_at, records = answer.uses, answer.looked_at["dataset versions"], answer.records
    else:
        answer = excluded(evidence, [wanted], datetime.fromisoformat(*since))
        assert answer.verdict == "PASSED", answer.reasons[:3]
        uses, looked_at, records = answer.after, answer.looked_at["dataset versions"], ()
    seconds["question"], seconds["command"] = clock.lap(), cpu()
    # the peak of getrusage would count the process that started this one
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    if name == "subject":  # within the question, once more: the look-up alone
        from lineage.audit.scope import Scope

        datasets = Scope(evidence).datasets
        clock.lap()
        found = Manifests(evidence, datasets).records_of([wanted])
        seconds["look-up"] = clock.lap()
        assert tuple(found) == records
    holding = len({record.dataset for record in records})
    counts = {"uses": len(uses), "datasets": looked_at, "holding": holding, "records": len(records)}
    print(json.dumps({"seconds": seconds, "MiB": peak / 1024, **counts}))


main()
