"""A signed statement as a file: DSSE in a Sigstore bundle, as OpenSSF model-signing (OMS 1.0) writes and reads it.

https://github.com/secure-systems-lab/dsse/blob/master/protocol.md, https://github.com/ossf/model-signing-spec
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base import strict_json
from ..base.errors import DamageError, ProjectError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.hashes import HashAlgorithm
    from cryptography.x509 import Certificate

MEDIA = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD = "application/vnd.in-toto+json"
LIMIT = 32 * 2**20  # bytes of a file
CURVES = ("secp256r1", "secp384r1", "secp521r1")  # those of OMS


@dataclass(frozen=True)
class Signed:
    """What lies in a bundle. Nothing of it is believed before `verify` was asked with a key that is trusted."""

    statement: dict[str, Any]
    payload: bytes
    signature: bytes
    key: str | None  # the id of the key, where no certificate is there
    chain: tuple[Certificate, ...]  # that of the signer first
    is_sigstore: bool = False  # with a certificate of minutes and an entry in a public log

    def verify(self, key: EllipticCurvePublicKey) -> bool:
        """Whether the owner of this key has signed the statement."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            key.verify(self.signature, pae(self.payload), ec.ECDSA(_hash_for(key)))
        except InvalidSignature:
            return False
        return True


def pae(payload: bytes) -> bytes:
    """What is signed: the payload with its type and lengths before it."""
    return f"DSSEv1 {len(PAYLOAD)} {PAYLOAD} {len(payload)} ".encode() + payload


def sign(statement: dict[str, Any], key: EllipticCurvePrivateKey, chain: tuple[Certificate, ...] = ()) -> str:
    """The text of a bundle."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    payload = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    made = key.sign(pae(payload), ec.ECDSA(_hash_for(key.public_key())))
    identity = id_of(key.public_key())
    certificates = [{"rawBytes": _text(one.public_bytes(Encoding.DER))} for one in chain]
    by = {"x509CertificateChain": {"certificates": certificates}} if chain else {"publicKey": {"hint": identity}}
    bundle = {
        "mediaType": MEDIA,
        "verificationMaterial": {**by, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": _text(payload),
            "payloadType": PAYLOAD,
            "signatures": [{"sig": _text(made), "keyid": identity}],
        },
    }
    return json.dumps(bundle, indent=2) + "\n"


def read(data: bytes) -> Signed:
    """The content of a bundle. Raises DamageError if it is none."""
    from cryptography import x509

    if len(data) > LIMIT:
        raise DamageError(f"it is larger than {LIMIT} bytes")
    try:
        bundle = strict_json.parse(data)
        if bundle["mediaType"] != MEDIA:
            raise ValueError(f"its media type is not {MEDIA}")
        material, envelope = bundle["verificationMaterial"], bundle["dsseEnvelope"]
        if envelope["payloadType"] != PAYLOAD:
            raise ValueError(f"its payload is not {PAYLOAD}")
        (signature,) = envelope["signatures"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        statement = strict_json.parse(payload)
        if statement["_type"] != "https://in-toto.io/Statement/v1":
            raise ValueError("its payload is no statement of in-toto 1")
        listed = (material.get("x509CertificateChain") or {}).get("certificates") or []
        chain = tuple(
            x509.load_der_x509_certificate(base64.b64decode(one["rawBytes"], validate=True)) for one in listed
        )
        key = (material.get("publicKey") or {}).get("hint")
        is_sigstore = "certificate" in material
        if bool(chain) + bool(key) + is_sigstore != 1:
            raise ValueError("it names no signer, or several")
        if is_sigstore and not material.get("tlogEntries"):
            raise ValueError("it has a certificate of Sigstore, and no entry of a log")
        made = base64.b64decode(signature["sig"], validate=True)
        return Signed(statement, payload, made, str(key) if key else None, chain, is_sigstore)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        said = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
        raise DamageError(said.splitlines()[0][:200]) from None


def id_of(key: EllipticCurvePublicKey) -> str:
    """What a key is called: SHA-256 of its PEM, as OMS calls it."""
    return hashlib.sha256(pem_of(key).encode()).hexdigest()


def pem_of(key: EllipticCurvePublicKey) -> str:
    """The key as text."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def public_key(pem: bytes) -> EllipticCurvePublicKey:
    """The public key in a text. Raises ProjectError if it is none, or none that OMS knows."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except ValueError as error:
        raise ProjectError(f"it is no public key in PEM: {str(error).splitlines()[0]}") from None
    return _of_curve(key)


def private_key(path: Path, password: bytes | None) -> EllipticCurvePrivateKey:
    """The private key in a file. Raises ProjectError if it cannot be read, or is none that OMS knows."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        data = path.read_bytes()
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        key = load_pem_private_key(data, password)
    except (ValueError, TypeError) as error:
        raise ProjectError(f"{path} holds no private key that can be read: {str(error).splitlines()[0]}") from None
    _of_curve(key.public_key())
    return key  # type: ignore[return-value]  # the curve was looked at


def certificates(path: Path) -> tuple[Certificate, ...]:
    """The certificates in a file. Raises ProjectError if there is none."""
    from cryptography import x509

    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise ProjectError(f"{path} holds no certificate that can be read: {str(error).splitlines()[0]}") from None


def _of_curve(key: object) -> EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in CURVES:
        raise ProjectError(
            "the key is not on one of the curves P-256, P-384, P-521. `openssl ecparam -name prime256v1 -genkey -noout "
            "-out signing.pem` makes one that is."
        )
    return key


def _hash_for(key: EllipticCurvePublicKey) -> HashAlgorithm:
    from cryptography.hazmat.primitives import hashes

    by_size: dict[int, HashAlgorithm] = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
    return by_size[key.curve.key_size]


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
