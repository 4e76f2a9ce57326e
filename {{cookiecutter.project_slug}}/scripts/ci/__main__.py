"""What CI does beside lint, types and tests: the same on GitHub, on GitLab and, but for what it writes there, by hand.

    python scripts/ci pull-request      dvc repro, push the results, and one comment that is updated
    python scripts/ci main              the version of the last commit: registered, linked, verified, attested
    python scripts/ci checks            verify --all, audit affected, doctor, log check; an issue if something is wrong
    python scripts/ci promote           gives a version an alias, as whoever approved it, and deploys it
    python scripts/ci stop              stops the jobs at SageMaker that a cancelled one of these left

Run it with the project's Python, in the project's folder. Where it runs, and what about, is read from the variables
that the service sets (github.py, gitlab.py). Exit status: 0 if all is well; else 1, or what `lineage verify` says.
"""

import argparse
import sys
from pathlib import Path

import checks
import main_branch
import promote
import pull_request
import stop
from service import service_here
from steps import StopError, begin

RUN_STAGES = {"pull-request": pull_request.run, "main": main_branch.run}
OTHERS = {"checks": checks.run, "promote": promote.run, "stop": stop.run}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job", choices=[*RUN_STAGES, *OTHERS])
    parser.add_argument("--as-committed", action="store_true", help="of the first two: run no stage")
    arguments = parser.parse_args()
    if not Path("dvc.yaml").is_file():
        sys.exit("run this in the project's folder: there is no dvc.yaml here")
    try:
        begin()
        if job := RUN_STAGES.get(arguments.job):
            sys.exit(job(service_here(), as_committed=arguments.as_committed))
        sys.exit(OTHERS[arguments.job](service_here()))
    except StopError as error:
        sys.exit(f"ci: {error}")


if __name__ == "__main__":
    main()
