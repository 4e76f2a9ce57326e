"""The link that is the latest attestation of a version: who signed it, and whether it says what Git holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ...base.errors import DamageError, LineageError, ProjectError
from ...git.tree import LINEAGE
from ...settings import flatten
from ...signing import statements
from ...signing.authority import authority_of, below, ids_of, key_of, out_of_time
from ...signing.bundle import Signed, read
from ...signing.trust import TRUST, Trust, Trusted, parse_trust
from ..attestations import (
    MODEL,
    PROVENANCE,
    VERIFICATION,
    Attestation,
    Standing,
    find,
    standing,
    was_before_retirement,
)
from ..case import ModelCase
from ..recompute import CheckResult

NOT_TRUSTED = "`lineage keys add` it if it is one of yours, commit, then ask again"


def attestation(case: ModelCase) -> CheckResult:
    """Every signature of the latest attestation, and every statement in it against lineage.json and the commit."""
    result, named = CheckResult(), name_and_number(case)
    if named is None:
        return result
    known = find(case.history, *named)
    if known.elsewhere:
        result.unknown.extend(known.elsewhere)
        result.fix = "merge it, or check out a branch that has it, then ask again"
    found = known.latest
    if found is None:  # those that there are, are all elsewhere: else the link is not asked
        return result
    trust = parse_trust(case.history.at("HEAD").read(TRUST))
    for name, data in found.files.items():
        try:
            signed = read(data)
        except DamageError as error:
            result.fault(f"{found.folder}/{name} is no signed statement: {error}")
            continue
        _check_signer(case, found, name, signed, trust, result)
        _check_statement(case, name, signed.statement, result)
    result.note = f" ({found.folder}, brought by commit {found.commit[:12]})"
    return result


def name_and_number(case: ModelCase) -> tuple[str, str] | None:
    """What the version is called: by MLflow, or where that is not asked by the lineage.json of the case.

    None for a model without a version.
    """
    if case.version is not None:
        return case.version.name, str(case.version.version)
    model = case.claimed.get("model") or {}
    return (str(model.get("name")), str(model["version"])) if model.get("version") else None


def _check_signer(
    case: ModelCase, found: Attestation, name: str, signed: Signed, trust: Trust, result: CheckResult
) -> None:
    """Whether somebody whom trust.json names has signed. What is unknown there proves nothing and disproves nothing."""
    result.looked_at += 1
    if signed.is_sigstore:
        result.unknown.append(
            f"{name} was signed by way of Sigstore: `model_signing verify sigstore` of model-signing checks it"
        )
        return
    try:
        signer, whole = _signer(signed, trust)
    except ProjectError as error:
        result.faults.append(f"{name}: {error}")
        return
    known = standing(case.history, _ids(signed, signer))
    worst = known.signers[0] if known.signers else None
    if signer is not None and not whole:
        result.faults.append(f"{name} was not signed by {_named(signed)}, or was changed since")
    elif worst is not None and worst.state == "revoked":
        reason = f": {worst.reason}" if worst.reason else ""
        result.faults.append(
            f"{name} was signed by {_named(signed)}{_by_way_of(worst, signed)}, which was revoked{reason}"
        )
        result.fix = f"`lineage attest {_uri(case)}` with another key, then commit"
    elif signer is None:
        result.unknown.append(f"{name} was signed by {_named(signed)}, which {TRUST} does not name")
        result.fix = NOT_TRUSTED
    elif late := _signed_after_retirement(case, found.commits[name], known):
        how = f"{_named(signed)}{_by_way_of(late, signed)}"
        result.faults.append(f"{name} was signed by {how} after that was retired, by the order of commits")
        result.fix = f"`lineage attest {_uri(case)}` with the key that replaced it, then commit"
    elif known.worse:
        result.unknown.append(
            f"{name} was signed by {_named(signed)}: commit {known.worse[:12]}, not in HEAD, takes its trust away"
        )
        result.fix = "merge that commit, then ask again"
    elif wrong := out_of_time((*signed.chain, *_above(signer)), datetime.now(UTC)):
        result.unknown.append(f"{name}: {wrong[0]}, and nothing proves that it was signed in its time")
        result.fix = f"`lineage attest {_uri(case)}` with a certificate that is valid, then commit"


def _signer(signed: Signed, trust: Trust) -> tuple[Trusted | None, bool]:
    """Who is trusted and has signed, and whether the signature is theirs."""
    if not signed.chain:
        found = trust.find(str(signed.key))
        return (found, signed.verify(found.key)) if found and found.kind == "key" else (None, False)
    authority = authority_of(signed.chain, trust.signers)
    return authority, authority is not None and signed.verify(key_of(signed.chain[0]))


def _ids(signed: Signed, signer: Trusted | None) -> set[str]:
    """All that a signature rests on: the key, or every certificate up to the authority, and their keys."""
    if not signed.chain:
        return {str(signed.key)}
    above = signer.certificate if signer else None
    return ids_of((*below(signed.chain, above), *([above] if above else ())))


def _signed_after_retirement(case: ModelCase, commits: tuple[str, ...], known: Standing) -> Trusted | None:
    """The first of those that were taken out of use before one of the commits brought what they signed."""
    retired = (each for each in known.signers if each.state == "retired")
    return next((each for each in retired if not was_before_retirement(case.history, commits, each.id)), None)


def _uri(case: ModelCase) -> str:
    return "models:/{}/{}".format(*(name_and_number(case) or ("NAME", "NUMBER")))


def _above(signer: Trusted) -> tuple[Any, ...]:
    return (signer.certificate,) if signer.kind == "authority" else ()


def _by_way_of(signer: Trusted, signed: Signed) -> str:
    return f", by {signer.kind} {signer.id[:12]}" if signed.chain else ""


def _named(signed: Signed) -> str:
    if not signed.chain:
        return f"the key {str(signed.key)[:12]}"
    return f"the holder of the certificate {signed.chain[0].subject.rfc4514_string()}"


def _check_statement(case: ModelCase, name: str, statement: dict[str, Any], result: CheckResult) -> None:
    document = case.document
    if name == PROVENANCE:
        _check_settings(document, statement, result)
        expected = statements.provenance(document, case.commit, _settings(statement))
        for key in sorted({*expected, *statement}):
            result.equal(f"{key} of {name}", statement.get(key), expected.get(key), f"{LINEAGE} and the commit")
    elif name == VERIFICATION:
        result.equal(f"the kind of {name}", statement.get("predicateType"), statements.VERIFIED, "a verification")
        result.equal(f"the files of {name}", statement.get("subject"), statements.subjects(document), LINEAGE)
        _check_moment(statement, result)
    elif name == MODEL:
        result.equal(f"the kind of {name}", statement.get("predicateType"), statements.FILES, "a signature of files")
        made = {file["path"]: file["sha256"] for file in document["artifact"]["files"]}
        result.equal(f"the files of {name}", _files(statement), made, LINEAGE)


def _settings(statement: dict[str, Any]) -> dict[str, Any]:
    try:
        found = statement["predicate"]["buildDefinition"]["externalParameters"]["settings"]
    except (KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _check_settings(document: dict[str, Any], statement: dict[str, Any], result: CheckResult) -> None:
    """Those that are stated, and no others: which may leave may be another list in a later version of the framework."""
    known = flatten(document["parameters"])
    for key, value in sorted(_settings(statement).items()):
        result.equal(f"{key} of {PROVENANCE}", value, known.get(key), LINEAGE)


def _files(statement: dict[str, Any]) -> dict[str, str]:
    """SHA-256 by path of what was signed; of another hash or a part of a file nothing can be said."""
    try:
        predicate = statement["predicate"]
        if predicate["serialization"]["method"] != "files":
            raise LineageError("model.sig is about parts of files, not about files.")
        listed = [(one["algorithm"], one["name"], one["digest"]) for one in predicate["resources"]]
    except (KeyError, TypeError):
        return {}
    if any(algorithm != "sha256" for algorithm, _, _ in listed):
        raise LineageError("model.sig has other hashes than SHA-256.")
    return {path: digest for _, path, digest in listed}


def _check_moment(statement: dict[str, Any], result: CheckResult) -> None:
    result.looked_at += 1
    try:
        when = datetime.fromisoformat(statement["predicate"]["timeCreated"])
        if when > datetime.now(UTC):
            result.faults.append(f"{VERIFICATION} is dated in the future: {when.isoformat()}")
    except (KeyError, TypeError, ValueError):
        result.faults.append(f"{VERIFICATION} has no time")
