"""consent: reads the consent registry again, and keeps the status of every subject that it lists."""

from __future__ import annotations

from ..data.consent import ACTIVE, write_snapshot
from ..lineage.consent import read_now
from ..pipeline.outputs import Inputs, Outputs
from ..pipeline.runner import Report, run
from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    statuses = read_now(settings)
    write_snapshot(outputs["data/consent.csv"], statuses.items())
    active = sum(status == ACTIVE for status in statuses.values())
    print(f"consent registry: {active} of {len(statuses)} subjects are {ACTIVE}.")


if __name__ == "__main__":
    run(__file__, work)
