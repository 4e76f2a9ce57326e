"""Signed statements: what is signed and by whom, read without the packages that sign; vectors of the standard."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import referencing
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from lineage.base.errors import DamageError, ProjectError
from lineage.evidence.ids import require_no_ids, search_among
from lineage.signing import statements
from lineage.signing.authority import authority_of, key_of, out_of_time
from lineage.signing.bundle import id_of, public_key, read, sign
from lineage.signing.trust import Trust, Trusted, parse_trust

from .certificates import Authority, key_pair, pem
from .sample_lineage import COMMIT, IDS, NOON, SECRETS, document

STANDARD = Path(__file__).parents[1] / "standards" / "oms"
VECTORS = sorted(STANDARD.glob("*/*.bundle.json"))
NOW = datetime.now(UTC)


def provenance() -> dict[str, Any]:
    return statements.provenance(document(), COMMIT)


# the format, by the schemas and the vectors that OpenSSF publishes


def schemas() -> dict[str, Any]:
    return {path.name.split(".")[0]: json.loads(path.read_text()) for path in STANDARD.glob("*.schema.json")}


def fault_by_standard(data: bytes) -> str:
    """What the published schemas have against a bundle, as the specification's own `oms-validate` asks them."""
    found = schemas()
    registry: referencing.Registry[Any] = referencing.Registry()
    for schema in found.values():
        registry = referencing.Resource.from_contents(schema) @ registry
    check = jsonschema.Draft202012Validator
    try:
        bundle = json.loads(data)
        check(found["bundle"], registry=registry).validate(bundle)
        check(found["statement"], registry=registry).validate(
            json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        )
    except jsonschema.ValidationError as error:
        return str(error.message)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("vector", VECTORS, ids=lambda path: path.name)
def test_the_vectors_of_the_standard(vector: Path) -> None:
    """All that its repository publishes: what is valid is read, and what is not is no signature of files."""
    assert len(VECTORS) == 8
    data, kind = vector.read_bytes(), vector.parent.name
    assert (fault_by_standard(data) == "") == (kind == "valid")
    if kind == "invalid":
        with pytest.raises(DamageError):
            read(data)
        return
    found = read(data)
    assert found.is_sigstore == ("sigstore" in vector.name)
    assert (found.statement["predicateType"] == statements.FILES) == (kind != "invalid-payload")


def test_models_that_model_signing_has_signed() -> None:
    """With the keys that it signed its own test models with."""
    signed = STANDARD / "signed"
    key = load_pem_public_key((signed / "signing-key-pub.pem").read_bytes())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    by_key = read((signed / "v1.1.0-elliptic-key" / "model.sig").read_bytes())
    assert by_key.key == id_of(key)
    assert by_key.verify(key)
    by_certificate = read((signed / "v1.1.0-certificate" / "model.sig").read_bytes())
    root = trusted_authority((signed / "ca-cert.pem").read_text())
    assert authority_of(by_certificate.chain, [root]) == root
    assert by_certificate.verify(key_of(by_certificate.chain[0]))
    other = Authority("another")
    assert authority_of(by_certificate.chain, [trusted_authority(other.pem)]) is None


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_what_is_signed_is_read_and_holds(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    text = sign(provenance(), key)
    found = read(text.encode())
    assert found.statement == provenance()
    assert found.verify(key.public_key())
    assert not found.verify(ec.generate_private_key(curve).public_key())


def test_a_changed_statement_does_not_hold() -> None:
    key = key_pair()
    bundle = json.loads(sign(provenance(), key))
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    statement["subject"][0]["digest"]["sha256"] = "f" * 64
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    found = read(json.dumps(bundle).encode())
    assert not found.verify(key.public_key())


def test_a_signature_of_files_of_ones_own_fits_the_schemas() -> None:
    resources = [{"name": "a", "algorithm": "sha256", "digest": "1" * 64}]
    predicate = {
        "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": []},
        "resources": resources,
    }
    subject = [{"name": "model", "digest": {"sha256": "2" * 64}}]
    statement = {
        "_type": statements.STATEMENT,
        "subject": subject,
        "predicateType": statements.FILES,
        "predicate": predicate,
    }
    assert fault_by_standard(sign(statement, key_pair()).encode()) == ""
    authority = Authority("root")
    key, certificate = authority.issue("signer")
    assert fault_by_standard(sign(statement, key, (certificate,)).encode()) == ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda b: b.update(mediaType="text/plain"), "its media type is not"),
        (lambda b: b["dsseEnvelope"].update(payloadType="text/plain"), "its payload is not"),
        (lambda b: b["dsseEnvelope"].update(payload="!"), "base64|characters|padding"),
        (lambda b: b["dsseEnvelope"].update(signatures=[]), "not enough values"),
        (lambda b: b["verificationMaterial"].pop("publicKey"), "it names no signer, or several"),
        (lambda b: b["verificationMaterial"].update(certificate={}), "it names no signer, or several"),
        (lambda b: b.update(verificationMaterial={"certificate": {}, "tlogEntries": []}), "no entry of a log"),
        (lambda b: b["verificationMaterial"].update(x509CertificateChain={"certificates": [{}]}), "rawBytes"),
        (lambda b: b.pop("dsseEnvelope"), "dsseEnvelope"),
    ],
)
def test_what_is_no_bundle_is_refused(change: Any, why: str) -> None:
    bundle = json.loads(sign(provenance(), key_pair()))
    change(bundle)
    with pytest.raises(DamageError, match=why):
        read(json.dumps(bundle).encode())


def test_keys_that_the_standard_does_not_know_are_refused() -> None:
    odd: list[Any] = [ec.generate_private_key(ec.SECP256K1()), ed25519.Ed25519PrivateKey.generate()]
    for key in odd:
        with pytest.raises(ProjectError, match=r"not on one of the curves P-256, P-384, P-521"):
            public_key(pem(key.public_key()))
    with pytest.raises(ProjectError, match="no public key"):
        public_key(b"text")


# what is stated


def test_provenance_has_its_materials_and_no_md5() -> None:
    found = provenance()
    materials = {one["name"]: one for one in found["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert materials["code"]["digest"] == {"gitCommit": COMMIT}
    assert materials["code"]["uri"] == "git+https://host.example/team/scans"
    assert {name: one["digest"] for name, one in materials.items() if name != "code"} == {
        "dataset": {"sha256": "9" * 64},
        "raw": {"sha256": "7" * 64},
        "environment": {"sha256": "3" * 64},
        "consent": {"sha256": "4" * 64},
        "pretrained": {"sha256": "5" * 64},
    }
    assert {"name": "model.safetensors", "digest": {"sha256": "2" * 64}} in found["subject"]
    text = json.dumps(found)
    assert "md5" not in text.lower()
    assert [secret for secret in SECRETS if secret in text] == []
    require_no_ids(found, search_among(lambda: [IDS]))


def test_a_verification_names_what_passed() -> None:
    found = statements.verified(document(), ["DVC remote", "lineage.json"], NOON, framework="0.1.0", sums="a" * 64)
    assert found["predicateType"] == "https://in-toto.io/attestation/svr/v0.2"
    predicate = found["predicate"]
    assert predicate["properties"] == ["LINEAGE_DVC_REMOTE", "LINEAGE_LINEAGE_JSON"]
    assert predicate["timeCreated"] == "2026-05-01T12:00:00Z"
    assert predicate["verifier"]["policies"] == [{"name": "lineage/SHA256SUMS", "digest": {"sha256": "a" * 64}}]
    assert found["subject"] == statements.subjects(document())


# whose signatures count


def trusted_authority(text: str) -> Trusted:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    certificate = x509.load_pem_x509_certificate(text.encode())
    return Trusted(id=certificate.fingerprint(SHA256()).hex(), kind="authority", pem=text)


def test_a_chain_leads_to_its_authority_and_no_other() -> None:
    root, other = Authority("root"), Authority("other")
    middle = root.below("middle")
    _, certificate = middle.issue("signer")
    chain = (certificate, middle.certificate)
    ours, theirs = trusted_authority(root.pem), trusted_authority(other.pem)
    assert authority_of(chain, [theirs, ours]) == ours
    assert authority_of(chain, [theirs]) is None
    assert authority_of(chain[:1], [ours]) is None  # without what lies between
    assert authority_of(chain[:1], [trusted_authority(middle.pem)]) is not None
    with pytest.raises(DamageError, match="do not belong together"):
        authority_of((certificate, other.certificate), [ours])


def test_a_certificate_that_signs_certificates_without_being_allowed_to() -> None:
    root = Authority("root")
    key, leaf = root.issue("signer")
    _, below = Authority("signer", key=key, certificate=leaf).issue("impostor")
    with pytest.raises(DamageError, match="do not belong together"):
        authority_of((below, leaf), [trusted_authority(root.pem)])


def test_a_certificate_that_is_not_for_signing() -> None:
    root = Authority("root")
    _, certificate = root.issue("server", may_sign=False)
    with pytest.raises(DamageError, match="may not be used for signing"):
        authority_of((certificate,), [trusted_authority(root.pem)])


def test_certificates_out_of_time() -> None:
    root = Authority("root")
    _, over = root.issue("signer", since=NOW - timedelta(days=20), until=NOW - timedelta(days=10))
    _, early = root.issue("signer", since=NOW + timedelta(days=10), until=NOW + timedelta(days=20))
    day = (NOW - timedelta(days=10)).date().isoformat()
    assert out_of_time([over], NOW) == [f"the certificate of CN=signer expired on {day}"]
    assert "is valid from" in out_of_time([early], NOW)[0]
    assert out_of_time([root.certificate], NOW) == []


def test_the_file_of_who_is_trusted() -> None:
    key = key_pair().public_key()
    one = Trusted(id=id_of(key), kind="key", pem=pem(key).decode(), reason="Ann's, since May")
    trust = Trust().with_(one)
    assert parse_trust(trust.to_json().encode()) == trust
    assert trust.named(one.id[:8]) == one
    revoked = trust.with_(one.model_copy(update={"state": "revoked"}))
    assert [each.state for each in revoked.signers] == ["revoked"]
    assert parse_trust(None).signers == []
    for data, why in (
        (b"[]", "valid dictionary|Trust"),
        (trust.to_json().replace('"key"', '"friend"').encode(), "kind"),
        (json.dumps({"schema": 1, "signers": [json.loads(one.model_dump_json())] * 2}).encode(), "twice"),
        (trust.to_json().replace("Ann's", "\\u202e").encode(), "marks of direction"),
    ):
        with pytest.raises(DamageError, match=why):
            parse_trust(data)


def test_a_key_under_the_id_of_another() -> None:
    one, other = key_pair().public_key(), key_pair().public_key()
    forged = Trusted(id=id_of(one), kind="key", pem=pem(other).decode())
    with pytest.raises(DamageError, match="another one than its id says"):
        _ = forged.key
