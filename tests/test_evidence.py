"""Attestations, the transparency log and exports of a project, as its users make them and as others check them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from baked import GUARD, Project
from command import Lineage
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from framework.certificates import NOW, Authority, key_pair, pem, private_pem
from validators import with_evidence

SECOND = "models:/traceable-digits/2"
FOLDER = "attestations/traceable-digits/2"
LINEAGE = ("python", "-m", "lineage.cli")  # in the environment that has what signs

# what in-toto's own packages say of a file that `lineage attest` has written
IN_TOTO = """
import base64, json, sys
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

folder, key = sys.argv[1:]
for name in ("provenance.json", "verification.json", "model.sig"):
    envelope = json.load(open(f"{folder}/{name}"))["dsseEnvelope"]
    public = SSlibKey.from_crypto(load_pem_public_key(open(key, "rb").read()))
    envelope["signatures"][0]["keyid"] = public.keyid
    Envelope.from_dict(envelope).verify([public], 1)
    found = json_format.ParseDict(json.loads(base64.b64decode(envelope["payload"])), statement_pb2.Statement())
    Statement.copy_from_pb(found).validate()
    if name == "provenance.json":
        json_format.ParseDict(json_format.MessageToDict(found.predicate), provenance_pb2.Provenance())
    print(name, found.predicate_type)
"""


@dataclass
class Attested:
    """A project with an attestation of its second version, and the key that signed it."""

    project: Project
    key: ec.EllipticCurvePrivateKey
    keys: Path
    commit: str
    lineage: Lineage

    def state(self) -> tuple[str, str]:
        """State and text of the link that is the attestation."""
        link = self.lineage.verify(self.project, SECOND).link("attestation")
        return link["state"], " ".join([link["text"], *link["faults"]])

    def say(self, *arguments: str) -> str:
        """A command, and a commit of what it wrote."""
        said = self.lineage(self.project, *arguments)
        self.project.commit(" ".join(arguments[:2]))
        return said

    def resign(self, number: int, key: ec.EllipticCurvePrivateKey, chain: tuple[Certificate, ...] = ()) -> None:
        """Another attestation of the same statements, signed by another key, in a commit."""
        from lineage.signing.bundle import read, sign

        first, folder = self.project.root / FOLDER / "0001", self.project.root / FOLDER / f"{number:04d}"
        folder.mkdir()
        for path in first.iterdir():
            (folder / path.name).write_text(sign(read(path.read_bytes()).statement, key, chain))
        self.project.commit("Attest")


def file_of(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


@pytest.fixture(scope="module")
def signing(installed: Project) -> Callable[[Project], Project]:
    """Makes a project one whose Python has what signs."""
    python = with_evidence()
    return lambda project: replace(project, venv=python.parent.parent)


@pytest.fixture(scope="module")
def _attested(
    linked: Project,
    lineage: Lineage,
    signing: Callable[[Project], Project],
    tmp_path_factory: pytest.TempPathFactory,
) -> Attested:
    folder = tmp_path_factory.mktemp("attested")
    project, keys, key = linked.copy(folder), folder / "keys", key_pair()
    keys.mkdir()
    public = file_of(keys, "signing.pub", pem(key.public_key()))
    lineage(project, "keys", "add", public, "--reason", "of the tests")
    project.commit("Trust the key of the tests")
    private = file_of(keys, "signing.pem", private_pem(key))
    said = signing(project).run(*LINEAGE, "attest", SECOND, "--key", private)
    assert f"written: {FOLDER}/0001/model.sig" in said
    return Attested(project, key, keys, project.commit("Attest"), lineage)


@pytest.fixture
def attested(_attested: Attested) -> Iterator[Attested]:
    yield _attested
    _attested.project.git("reset", "--quiet", "--hard", _attested.commit)
    _attested.project.git("clean", "--quiet", "-fd", "--", "attestations", "log")


# attestations


def test_an_attestation_is_a_link_of_verify(attested: Attested) -> None:
    proof = attested.lineage.verify(attested.project, SECOND)
    assert (proof.state, proof.not_passed) == ("PASS", {})
    link = proof.link("attestation")
    assert f"({FOLDER}/0001, brought by commit {attested.commit[:12]})" in link["text"]
    first = attested.lineage.verify(attested.project, "models:/traceable-digits/1")
    assert "attestation" not in [link["name"] for link in first.links]  # nobody has attested it


def test_others_verify_it_with_their_own_tools(attested: Attested, tmp_path: Path) -> None:
    project, folder = attested.project, attested.project.root / FOLDER / "0001"
    public, python = str(attested.keys / "signing.pub"), str(with_evidence())
    said = subprocess.run([python, "-c", IN_TOTO, folder, public], capture_output=True, text=True, check=False)
    assert said.stdout.splitlines() == [
        "provenance.json https://slsa.dev/provenance/v1",
        "verification.json https://in-toto.io/attestation/svr/v0.2",
        "model.sig https://model_signing/signature/v1.0",
    ], said.stderr
    model = handed_out(project, tmp_path / "model")
    command = (*CHECKS, "key", model, "--public_key", public, "--signature", folder / "model.sig")
    assert "Verification succeeded" in checked(*command)
    (model / "MLmodel").write_text("another")
    assert "Verification failed" in checked(*command, code=1)


CHECKS = ("-m", "model_signing", "verify")


def checked(*command: object, code: int = 0) -> str:
    """What the command line of model-signing says of a folder that the registry handed out."""
    ignored = ("--ignore-paths", Path(str(command[4])) / "registered_model_meta")
    arguments = [str(with_evidence()), *map(str, (*command, *ignored))]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def handed_out(project: Project, model: Path) -> Path:
    """The registered files of the second version, as `mlflow artifacts download` leaves them."""
    files = project.lineage["artifact"]
    (stored,) = (project.root / "mlartifacts").rglob(files["model_id"])
    for file in files["files"]:
        (model / file["path"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(stored / "artifacts" / file["path"], model / file["path"])
    (model / "registered_model_meta").write_text("MLflow adds it to what it hands out")
    return model


def test_what_was_changed_or_removed_is_found(attested: Attested) -> None:
    project, file = attested.project, attested.project.root / FOLDER / "0001" / "verification.json"
    file.write_text(file.read_text().replace("}", "} ", 1))
    project.commit("A blank")
    assert attested.state()[0] == "FAIL"
    project.git("reset", "--quiet", "--hard", attested.commit)
    shutil.rmtree(project.root / "attestations" / "traceable-digits")
    project.commit("Nothing was ever attested")
    state, text = attested.state()
    assert (state, "attestations are only added" in text) == ("FAIL", True)


def test_a_statement_about_something_else_is_found_though_it_is_signed(attested: Attested) -> None:
    from lineage.signing.bundle import read, sign

    attested.resign(2, attested.key)
    assert attested.state()[0] == "PASS"
    file = attested.project.root / FOLDER / "0002" / "provenance.json"
    statement = read(file.read_bytes()).statement
    statement["subject"][0]["digest"]["sha256"] = "f" * 64
    statement["predicate"]["buildDefinition"]["externalParameters"]["settings"]["train.seed"] = 99
    file.write_text(sign(statement, attested.key))
    attested.project.git("add", "--all")
    attested.project.git("commit", "--quiet", "--amend", "--no-edit")
    state, text = attested.state()
    assert (state, "subject of provenance.json is" in text) == ("FAIL", True)
    assert "train.seed of provenance.json is 99, lineage.json says 5" in text


def test_a_key_is_replaced_and_what_it_signed_before_still_counts(attested: Attested) -> None:
    new, first = key_pair(), listed(attested)
    attested.say("keys", "add", file_of(attested.keys, "new.pub", pem(new.public_key())))
    attested.say("keys", "retire", first, "--reason", "replaced by the new one")
    assert attested.state()[0] == "PASS"
    attested.resign(2, attested.key)  # after that
    state, text = attested.state()
    assert (state, "after that was retired, by the order of commits" in text) == ("FAIL", True)
    attested.resign(3, new)
    assert attested.state()[0] == "PASS"


def test_nothing_that_a_revoked_key_has_signed_counts(attested: Attested) -> None:
    attested.say("keys", "revoke", listed(attested), "--reason", "a laptop was stolen")
    state, text = attested.state()
    assert (state, "which was revoked: a laptop was stolen" in text) == ("FAIL", True)
    assert "already" in attested.lineage.ask(attested.project, "keys", "retire", listed(attested), "--reason", "x")[1]
    private = str(attested.keys / "signing.pem")
    status, said = attested.lineage.ask(attested.project, "attest", SECOND, "--key", private)
    assert (status, "was revoked in attestations/trust.json" in said) == (1, True), said
    # and by hand it does not come back
    trust = attested.project.root / "attestations" / "trust.json"
    trust.write_text(trust.read_text().replace('"revoked"', '"active"'))
    attested.project.commit("All is well")
    state, text = attested.state()
    assert (state, "which was revoked: a laptop was stolen" in text) == ("FAIL", True)


def test_a_revoked_key_does_not_count_again_with_a_certificate(attested: Attested) -> None:
    root = Authority("hospital")
    middle = root.below("department")
    attested.say("keys", "add", file_of(attested.keys, "hospital.crt", root.pem.encode()))
    key, certificate = middle.issue("ann")
    attested.resign(2, key, (certificate, middle.certificate))
    assert attested.state()[0] == "PASS"
    # somebody has the first key, and there is a certificate about it, from an authority that is trusted
    attested.resign(3, attested.key, (root.issue("ann", key=attested.key)[1],))
    assert attested.state()[0] == "PASS"
    trusted = attested.project.git("rev-parse", "HEAD")
    attested.say("keys", "revoke", listed(attested), "--reason", "a laptop was stolen")
    state, text = attested.state()
    assert (state, "which was revoked: a laptop was stolen" in text) == ("FAIL", True)
    assert f"the certificate CN=ann, by key {listed(attested)[:12]}" in text
    # nor one whose certificate is named, of a signer or of an authority between
    for revoked in (certificate, middle.certificate):
        attested.project.git("reset", "--quiet", "--hard", trusted)
        attested.resign(4, key, (certificate, middle.certificate))
        assert attested.state()[0] == "PASS"
        file = file_of(attested.keys, "revoked.crt", revoked.public_bytes(Encoding.PEM))
        assert "key  revoked" in attested.say("keys", "revoke", file, "--reason", "a laptop was stolen")
        state, text = attested.state()
        assert (state, "which was revoked: a laptop was stolen" in text) == ("FAIL", True)
    assert "is revoked already" in attested.lineage.ask(attested.project, "keys", "revoke", file, "--reason", "x")[1]
    status, said = attested.lineage.ask(attested.project, "keys", "add", file)
    assert (status, "about the same key as key" in said) == (1, True), said
    # and a line that is taken out again is not forgotten
    (attested.project.root / "attestations" / "trust.json").unlink()
    attested.project.commit("Nobody was ever trusted")
    state, text = attested.state()
    assert (state, "which was revoked: a laptop was stolen" in text) == ("FAIL", True)


def test_with_mlflow_gone_an_attestation_is_looked_at(attested: Attested) -> None:
    project = attested.project
    proof = attested.lineage.verify(project, "lineage.json")
    assert (proof.state, proof.link("attestation")["state"]) == ("PASS", "PASS")
    file = project.root / FOLDER / "0001" / "verification.json"
    file.write_text(file.read_text().replace("}", "} ", 1))
    project.commit("A blank")
    proof = attested.lineage.verify(project, "lineage.json")
    assert (proof.state, proof.link("attestation")["state"]) == ("FAIL", "FAIL")
    project.git("reset", "--quiet", "--hard", f"{attested.commit}~1")  # taken away, with its commit
    try:
        said = attested.lineage(project, "verify", "lineage.json")
        assert "PASS  what Git and DVC record of this model agrees" in said
        assert "not attested: no branch or tag here has an attestation of it." in said
        assert "not attested" in attested.lineage(project, "verify", SECOND)
    finally:
        project.git("reset", "--quiet", "--hard", attested.commit)


def test_what_another_branch_says_is_looked_at_and_proves_nothing(attested: Attested) -> None:
    project = attested.project
    project.git("switch", "--quiet", "--create", "beside")
    try:
        attested.say("keys", "revoke", listed(attested), "--reason", "a laptop was stolen")
        project.git("switch", "--quiet", "main")
        state, text = attested.state()
        assert (state, "not in HEAD, takes its trust away" in text) == ("INCONCLUSIVE", True)
        project.git("branch", "--quiet", "--force", "beside", attested.commit)
        project.git("switch", "--quiet", "--detach", f"{attested.commit}~1")  # before it was attested
        state, text = attested.state()
        assert (state, f"{FOLDER}/0001 of commit {attested.commit[:12]} is not in HEAD" in text) == (
            "INCONCLUSIVE",
            True,
        )
    finally:
        project.git("switch", "--quiet", "main")
        project.git("branch", "--quiet", "--delete", "--force", "beside")


def listed(attested: Attested) -> str:
    """The beginning of the id of the first key."""
    return attested.lineage(attested.project, "keys", "list").split()[0]


def test_what_a_squashed_branch_brought_is_before_what_came_after_it(attested: Attested) -> None:
    project = attested.project
    project.git("switch", "--quiet", "--create", "beside")
    try:
        attested.resign(2, attested.key)
        project.git("switch", "--quiet", "main")
        project.git("merge", "--quiet", "--squash", "beside")
        project.commit("Attest, in one commit")
        attested.say("keys", "retire", listed(attested), "--reason", "replaced")
        assert attested.state()[0] == "PASS"
    finally:
        project.git("branch", "--quiet", "--delete", "--force", "beside")


def test_a_key_that_nobody_knows_proves_nothing(attested: Attested) -> None:
    attested.resign(2, key_pair())
    state, text = attested.state()
    assert (state, "which attestations/trust.json does not name" in text) == ("INCONCLUSIVE", True)


def test_what_is_said_to_be_signed_by_sigstore_is_not_believed(attested: Attested) -> None:
    attested.resign(2, attested.key)
    for path in (attested.project.root / FOLDER / "0002").iterdir():
        bundle = json.loads(path.read_text())
        bundle["verificationMaterial"] = {"certificate": {"rawBytes": ""}, "tlogEntries": [{}]}
        path.write_text(json.dumps(bundle))
    attested.project.git("add", "--all")
    attested.project.git("commit", "--quiet", "--amend", "--no-edit")
    state, text = attested.state()
    assert (state, "was signed by way of Sigstore" in text) == ("INCONCLUSIVE", True)


def test_certificates_of_an_authority(attested: Attested) -> None:
    root = Authority("hospital")
    middle = root.below("department")
    attested.say("keys", "add", file_of(attested.keys, "root.crt", root.pem.encode()))
    key, certificate = middle.issue("ann")
    attested.resign(2, key, (certificate, middle.certificate))
    assert attested.state()[0] == "PASS"
    key, certificate = middle.issue("ann", since=NOW - timedelta(days=9), until=NOW - timedelta(days=1))
    attested.resign(3, key, (certificate, middle.certificate))
    state, text = attested.state()
    assert (state, "expired on" in text, "nothing proves that it was signed in its time" in text) == (
        "INCONCLUSIVE",
        True,
        True,
    )
    impostor = Authority("hospital")  # of the same name
    key, certificate = impostor.issue("ann")
    attested.resign(4, key, (certificate,))
    assert attested.state()[0] == "INCONCLUSIVE"
    attested.resign(5, attested.key, (middle.issue("ann")[1], middle.certificate))  # another's certificate
    state, text = attested.state()
    assert (state, "was not signed by the holder of the certificate CN=ann" in text) == ("FAIL", True)


def test_with_a_certificate_and_what_is_refused(
    attested: Attested, signing: Callable[[Project], Project], tmp_path: Path
) -> None:
    project, folder = signing(attested.project), attested.keys
    authority = Authority("root")
    key, certificate = authority.issue("ann")
    root = file_of(folder, "authority.crt", authority.pem.encode())
    private = file_of(folder, "ann.pem", private_pem(key))
    own = file_of(folder, "ann.crt", certificate.public_bytes(Encoding.PEM))
    said = project.run(*LINEAGE, "attest", SECOND, "--key", private, "--certificate", own, "--chain", root)
    assert f"written: {FOLDER}/0002/provenance.json" in said
    assert "names neither this key nor its authority" in said
    # which others check by the certificate of the authority, and by no other
    signature = ("--signature", project.root / FOLDER / "0002" / "model.sig")
    command = (*CHECKS, "certificate", handed_out(project, tmp_path / "model"), *signature, "--certificate_chain")
    assert "Verification succeeded" in checked(*command, root)
    other = file_of(folder, "other.crt", Authority("root").pem.encode())
    assert "Verification failed" in checked(*command, other, code=1)
    for arguments, why in (
        (
            ("attest", SECOND, "--key", str(folder / "signing.pem"), "--certificate", own, "--chain", root),
            "is about another key",
        ),
        (("attest", SECOND, "--key", private, "--certificate", own), "name with --chain the certificate"),
        (("attest", SECOND, "--key", own), "holds no private key that can be read"),
        (("keys", "add", private), "holds a private key, which belongs in no repository"),
    ):
        status, said = attested.lineage.ask(attested.project, *arguments)
        assert (status, why in said) == (1, True), said
    # without the package that signs
    status, said = attested.lineage.ask(attested.project, "attest", SECOND, "--key", private)
    assert (status, "`make setup-evidence` installs it" in said) == (1, True), said


def test_without_a_network_sigstore_signs_nothing(
    attested: Attested, signing: Callable[[Project], Project], tmp_path: Path
) -> None:
    offline = {"PYTHONPATH": str(GUARD), "LOOPBACK_ONLY": str(tmp_path / "asked")}
    project = signing(attested.project)
    project = replace(project, environment={**project.environment, **offline})
    said = project.run(*LINEAGE, "attest", SECOND, "--sigstore", code=1)
    assert "Sigstore cannot be used" in said
    assert (tmp_path / "asked").exists()
    assert not (project.root / FOLDER / "0002").exists()
    key = str(attested.keys / "signing.pem")
    for arguments in ((), ("--key", key, "--sigstore"), ("--sigstore", "--certificate", key)):
        assert attested.lineage.ask(attested.project, "attest", SECOND, *arguments)[0] == 2


def test_what_is_not_proved_is_not_attested(attested: Attested, signing: Callable[[Project], Project]) -> None:
    project = signing(attested.project)
    project.sql("UPDATE model_version_tags SET value = 'x' WHERE key = 'model_sha256' AND version = 2")
    try:
        said = project.run(*LINEAGE, "attest", SECOND, "--key", str(attested.keys / "signing.pem"), code=1)
    finally:
        digest = project.lineage["model"]["sha256"]
        project.sql("UPDATE model_version_tags SET value = ? WHERE key = 'model_sha256' AND version = 2", digest)
    assert "nothing was signed" in said
    assert not (project.root / FOLDER / "0002").exists()


# the log


def test_the_log_has_what_git_holds_and_a_kept_head_finds_a_rewrite(attested: Attested) -> None:
    project, lineage = attested.project, attested.lineage
    assert "entries added: 5." in attested.say("log", "update")  # two versions, three files of an attestation
    kept = lineage(project, "log").splitlines()[-1].removeprefix("head: ")
    assert "PASS: 5 entries, as every commit that HEAD comes from had them; 1 of 1 heads hold." in lineage(
        project, "log", "check", kept
    )
    attested.resign(2, attested.key)
    status, said = lineage.ask(project, "log", "check", kept)
    assert (status, "INCONCLUSIVE: entries not in the log yet: 3." in said) == (2, True)
    attested.say("log", "update")
    lineage(project, "log", "check", kept)

    log, proof = project.root / "log" / "entries.jsonl", attested.keys / "proof.json"
    proof.write_text(lineage(project, "log", "prove", kept))
    checker = [sys.executable, "-I", "-S", str(project.root / "scripts" / "check_log.py")]
    for arguments in ([str(log), kept], [str(proof), kept]):
        assert subprocess.run([*checker, *arguments], check=False).returncode == 0
    # whoever may push leaves out what is not to be known, and takes the commits that show it away
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[1:]))
    project.git("reset", "--quiet", "--soft", attested.commit)
    project.commit("A log without the first version")
    status, said = lineage.ask(project, "log", "check", kept)
    assert (status, "the log was rewritten, or this is a fork" in said) == (1, True)
    assert subprocess.run([*checker, str(log), kept], check=False).returncode == 1


def test_a_log_that_was_edited_is_found_by_its_own_commits(attested: Attested) -> None:
    attested.say("log", "update")
    log = attested.project.root / "log" / "entries.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    attested.project.commit("One less")
    status, said = attested.lineage.ask(attested.project, "log", "check")
    assert (status, "is not the beginning of this one" in said) == (1, True)


def test_certificates_are_logged_by_their_digest(attested: Attested) -> None:
    project, lineage = attested.project, attested.lineage
    subject = ids(project)[0]
    certificate = attested.keys / "certificate"
    lineage(project, "audit", "excluded", subject, "--since", "2020-01-01", "--certificate", str(certificate), code=1)
    attested.say("log", "update")
    attested.say("log", "certify", str(certificate.with_suffix(".json")))
    log = (project.root / "log" / "entries.jsonl").read_text()
    assert json.loads(certificate.with_suffix(".json").read_text())["digest"] in log
    assert subject not in log
    assert lineage(project, "log", "check").startswith("PASS: 6 entries")


# exports


def ids(project: Project) -> list[str]:
    """Every id of a subject or a record of the dataset here."""
    table = pq.read_table(project.root / "data" / "processed" / "manifest.parquet", columns=["subject_id", "record_id"])
    return [*dict.fromkeys(table["subject_id"].to_pylist()), *table["record_id"].to_pylist()]


@pytest.mark.parametrize("standard", ["cyclonedx", "spdx", "croissant", "openlineage", "model-card", "annex-iv"])
def test_an_export_is_about_the_version_and_names_nobody(standard: str, linked: Project, lineage: Lineage) -> None:
    text = lineage(linked, "export", SECOND, "--as", standard)
    assert linked.lineage["dataset"]["md5"] in text
    own = [one for one in ids(linked) if len(one) > 3]
    assert own
    assert [one for one in own if f'"{one}"' in text or f"`{one}`" in text or f" {one} " in text] == []


def test_a_crate_with_the_verdict_in_it(linked: Project, lineage: Lineage, tmp_path: Path) -> None:
    said = lineage(linked, "export", SECOND, "--as", "ro-crate", "--to", str(tmp_path / "crate"), "--verify")
    assert f"written: {tmp_path}/crate/ro-crate-metadata.json" in said
    assert "PASS, " in (tmp_path / "crate" / "annex-iv.md").read_text()
    document: dict[str, Any] = json.loads((tmp_path / "crate" / "model.cdx.json").read_text())
    properties = {one["name"]: one["value"] for one in document["metadata"]["component"]["properties"]}
    assert properties["lineage:verified"] == "PASS"
    lineage(linked, "export", SECOND, "--as", "annex-iv", "--to", str(tmp_path / "annex.html"))
    assert "@page" in (tmp_path / "annex.html").read_text()
