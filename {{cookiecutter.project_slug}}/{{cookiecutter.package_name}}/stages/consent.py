"""consent: reads the consent registry again, and keeps the status of every subject that it lists."""

from __future__ import annotations

from lineage.chain.consent import read_now
from lineage.pipeline.runner import Report, run
from lineage.records.consent import ACTIVE, active, write_snapshot
from lineage.run.outputs import Inputs, Outputs

from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    statuses = read_now(settings)
    write_snapshot(outputs["data/consent.csv"], statuses.items())
    used = active(statuses)
    print(f"consent registry: {len(used)} of {len(statuses)} subjects are {ACTIVE}.")
    revoked = {subject.casefold() for subject in statuses.keys() - used}
    if alike := sum(subject.casefold() in revoked for subject in used):  # without ids: logs are kept for years
        print(
            f"warning: {alike} active ids differ from a revoked one in upper and lower case alone. They count as other "
            "people: if they are the same, correct the registry."
        )


if __name__ == "__main__":
    run(__file__, work)
