"""Signs what is known of a version: how it was made, what `lineage verify` found, and its files.

The files land in attestations/, for a person to commit. Nothing is sent anywhere, except for Sigstore (keyless.py).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..base.env import LINEAGE_KEY_PASSWORD
from ..base.errors import LineageError, ProjectError
from ..base.pages import write_whole
from ..dvc.hashes import hash_file
from ..proof.attestations import MODEL, PROVENANCE, VERIFICATION, attestations_of, folder_of, standing
from ..proof.case import ModelCase
from ..signing import statements
from ..signing.authority import authority_of, below, ids_of, key_of
from ..signing.bundle import certificates, id_of, private_key, sign
from ..signing.trust import TRUST, parse_trust
from .ids import require_no_ids, search_in

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

    from ..git.history import History
    from ..proof.verify import Verdict


class Signer(Protocol):
    """Whoever signs: by a key, or by way of Sigstore (keyless.py)."""

    def sign(self, statement: dict[str, Any]) -> str:
        """The text of a bundle with a statement."""

    def sign_files(self, config: Any, model: Path, signature: Path) -> None:
        """Signs the files of a folder, by a configuration of model-signing."""


@dataclass(frozen=True)
class SigningKey:
    """A private key, and the certificates that say whose it is, the signer's first."""

    path: Path
    key: EllipticCurvePrivateKey
    password: bytes | None
    certificate: Path | None = None
    above: tuple[Path, ...] = ()
    chain: tuple[Certificate, ...] = ()

    @property
    def id(self) -> str:
        return id_of(self.key.public_key())

    def sign(self, statement: dict[str, Any]) -> str:
        """The text of a bundle with a statement."""
        return sign(statement, self.key, self.chain)

    def sign_files(self, config: Any, model: Path, signature: Path) -> None:
        """Signs the files of a folder, by a configuration of model-signing."""
        if self.certificate is None:
            config.use_elliptic_key_signer(private_key=self.path, password=self.password)
        else:
            config.use_certificate_signer(
                private_key=self.path, signing_certificate=self.certificate, certificate_chain=list(self.above)
            )
        config.sign(model, signature)


def read_key(path: Path, certificate: Path | None, above: list[Path]) -> SigningKey:
    """The key to sign with. Raises ProjectError if it cannot be read, or the certificate is about another key."""
    password = os.environ.get(LINEAGE_KEY_PASSWORD)
    key = private_key(path, password.encode() if password else None)
    if certificate is None:
        return SigningKey(path, key, password.encode() if password else None)
    if not above:  # model-signing 1.1 cannot sign without
        raise ProjectError(f"name with --chain the certificate of the authority that {certificate} leads to.")
    if password:
        raise ProjectError(f"model-signing opens no encrypted key where it comes with a certificate: decrypt {path}.")
    chain = (*certificates(certificate)[:1], *(one for file in above for one in certificates(file)))
    if key_of(chain[0]) != key.public_key():
        raise ProjectError(f"{certificate} is about another key than {path}.")
    return SigningKey(path, key, None, certificate, tuple(above), chain)


def trust_of(history: History, signing: SigningKey) -> bool:
    """Whether HEAD trusts the key, or the authority of its certificate.

    Raises ProjectError where the key, or a certificate above it, was retired or revoked: what is signed from then on
    does not count.
    """
    trust = parse_trust(history.at("HEAD").read(TRUST))
    found = authority_of(signing.chain, trust.signers) if signing.chain else trust.find(signing.id)
    above = found.certificate if found and signing.chain else None
    ids = {signing.id} | ids_of((*below(signing.chain, above), *([above] if above else ())))
    for signer in standing(history, ids).signers:
        if signer.state != "active":
            raise ProjectError(
                f"{signer.kind} {signer.id[:12]} was {signer.state} in {TRUST}: what it signs does not count. "
                "Use another."
            )
    return found is not None


def attest(case: ModelCase, verdict: Verdict, signer: Signer) -> list[Path]:
    """Writes the three signed files and returns their paths.

    Raises LineageError unless the chain was proved, and where a statement would hold an id of a record or a subject.

    model-signing must be installed.
    """
    if verdict.state != "PASS":
        raise LineageError(f"{case.title} is {verdict.state}, so there is nothing to attest: {verdict.sentence}")
    if case.version is None:
        raise LineageError("only a version in MLflow can be attested: models:/NAME/NUMBER.")
    document, root = case.document, case.evidence.root
    name, number = case.version.name, str(case.version.version)
    before = [path for path in (root / folder_of(name, number)).glob("[0-9]*") if path.is_dir()]
    known = len(attestations_of(case.history, name, number))
    folder = root / folder_of(name, number) / f"{max(known, len(before)) + 1:04d}"
    tree = case.history.at("HEAD")
    checked = statements.verified(
        document,
        [link.name for link in verdict.links if link.state == "PASS"],
        datetime.now(UTC),
        framework=(tree.read("lineage/VERSION") or b"unknown").decode().strip(),
        sums=sha256(tree.read("lineage/SHA256SUMS") or b"").hexdigest(),
    )
    made = statements.provenance(document, case.commit)
    require_no_ids([made, checked], search_in(case.evidence.objects, document["dataset"]["md5"]))
    texts = {
        PROVENANCE: signer.sign(made),
        VERIFICATION: signer.sign(checked),
        MODEL: _signature_of_files(case, document, signer),
    }
    folder.mkdir(parents=True)
    for file, text in texts.items():
        write_whole(folder / file, text)
    return [folder / file for file in texts]


def _signature_of_files(case: ModelCase, document: dict[str, Any], signer: Signer) -> str:
    """model.sig over the files that the registry hands out, by OpenSSF model-signing."""
    from model_signing.signing import Config

    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        model = place / document["model"]["name"].replace("/", "-")
        _copy_files(case, document, model, place / "brought")
        signer.sign_files(Config(), model, place / MODEL)
        return (place / MODEL).read_text(encoding="utf-8")


def _copy_files(case: ModelCase, document: dict[str, Any], target: Path, scratch: Path) -> None:
    """What lineage.json names of the registered files, and nothing that lies beside them."""
    from ..tracking.artifact import artifact_folder

    store = case.evidence.store
    scratch.mkdir()
    with store.asked("read the registered model"):
        folder = artifact_folder(store.client, document["artifact"]["model_id"], str(scratch))
    for file in document["artifact"]["files"]:
        path = target / file["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / file["path"], path)
        if hash_file(path, file["path"]).sha256 != file["sha256"]:
            raise LineageError(f"{file['path']} of {case.title} was changed while it was signed. Ask again.")
