"""Signs what was verified on the default branch, where the service has a key for that; else says that nobody signed.

Read from variables: LINEAGE_SIGNING_KEY, in PEM or as a path (GitLab's variables of type file), with
LINEAGE_KEY_PASSWORD if it is encrypted; or with a certificate, LINEAGE_SIGNING_CERTIFICATE, and what is above it,
LINEAGE_SIGNING_CHAIN.
"""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from steps import StopError, must
from steps import run as run_command

KEY, PASSWORD = "LINEAGE_SIGNING_KEY", "LINEAGE_KEY_PASSWORD"
FILES = {"--key": KEY, "--certificate": "LINEAGE_SIGNING_CERTIFICATE", "--chain": "LINEAGE_SIGNING_CHAIN"}
FOLDER, LOG = "attestations", Path("log/entries.jsonl")


def attest(repository):
    """Signs each version of the last commit that nobody has attested, and commits that.

    Raises StopError where the signature would prove nothing, because attestations/trust.json does not name its key.
    """
    known, versions = _versions()
    if not versions:
        said = f"{known} of {known} versions of this commit have an attestation."
        print(said if known else "Not attested: the registry has no version of this commit.")
        return
    if KEY not in os.environ:
        print(f"Not attested: this job has no {KEY}. {', '.join(versions)} is verified, and nobody has signed that.")
        return
    must("make", "setup-evidence", tries=3)
    password = {PASSWORD: os.environ[PASSWORD]} if PASSWORD in os.environ else {}
    with _files() as options:
        for version in versions:
            must("lineage", "attest", version, *options, **repository.variables, **password)
    repository.keep(FOLDER, f"Attest {', '.join(versions)}\n\n{repository.service.job_url}")
    if run_command("lineage", "verify", "HEAD", **repository.variables):
        raise StopError("the attestation is not pushed, for with it `lineage verify` does not pass: see above.")


def keep_log(repository):
    """Commits what the transparency log lacks, where the project keeps one.

    Raises StopError if the log is not as it was: what it lacks is added all the same.
    """
    if not LOG.is_file():
        return
    status = run_command("lineage", "log", "update", **repository.variables)
    what = "registered, decided, erased, attested and certified"
    repository.keep(str(LOG), f"Log what was {what}\n\n{repository.service.job_url}")
    if status:
        raise StopError("the log is not as it was: see above.")


def _versions():
    """How many versions the last commit has, and those that no branch or tag holds an attestation of."""
    from lineage.base.errors import ProjectError
    from lineage.proof.attestations import attestations_of
    from lineage.proof.case import Evidence
    from lineage.proof.targets import resolve

    evidence = Evidence(Path.cwd())
    try:
        _ = evidence.store.versions  # else a registry that is silent would look like one that has none
        cases = [case for case in resolve(evidence, "HEAD").cases if case.version is not None]
    except ProjectError as error:
        raise StopError(f"the registry does not say which versions it has: {error}") from None
    return len(cases), [
        case.title for case in cases if not attestations_of(case.history, case.version.name, str(case.version.version))
    ]


@contextmanager
def _files():
    """Options of `lineage attest`. Keys that came as text are files for as long, nobody else's to read."""
    with tempfile.TemporaryDirectory() as folder:
        options = []
        for option, name in FILES.items():
            if not (given := os.environ.get(name)):
                continue
            path = Path(folder) / name if "-----BEGIN" in given else Path(given)
            if path.parent == Path(folder):
                path.write_text(f"{given}\n", encoding="utf-8")
            options += [option, str(path)]
        yield options
