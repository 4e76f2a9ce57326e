"""Whether a certificate leads to an authority that is trusted, and whether its time is over."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from ..base.errors import DamageError
from .bundle import id_of, public_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.x509 import Certificate

    from .trust import Trusted


def authority_of(chain: tuple[Certificate, ...], trusted: Iterable[Trusted]) -> Trusted | None:
    """The authority that a chain leads to, over the certificates that came with it; None if it leads to none.

    Raises DamageError where a step of it is not signed, or by what may not sign certificates, or where the signer's own
    certificate may not sign.
    """
    authorities = [(each, each.certificate) for each in trusted if each.kind == "authority"]
    _require_may_sign(chain[0])
    for below, above in zip(chain, (*chain[1:], None), strict=True):
        for each, certificate in authorities:
            if certificate == below or _is_issued_by(below, certificate):
                return each
        if above is not None and not _is_issued_by(below, above):
            raise DamageError("its certificates do not belong together: one is not issued by the next")
    return None


def below(chain: tuple[Certificate, ...], authority: Certificate | None) -> tuple[Certificate, ...]:
    """The certificates that lead from the signer to an authority, without what a file names above it."""
    for place, one in enumerate(chain):
        if authority is not None and (authority == one or _is_issued_by(one, authority)):
            return chain[: place + 1]
    return chain


def ids_of(certificates: Iterable[Certificate]) -> set[str]:
    """What trust.json calls these certificates, and their keys: who revokes a key means every certificate about it."""
    return {name for one in certificates for name in (fingerprint(one), key_id(one))}


def fingerprint(certificate: Certificate) -> str:
    """What a certificate is called: its SHA-256."""
    from cryptography.hazmat.primitives.hashes import SHA256

    return certificate.fingerprint(SHA256()).hex()


def key_id(certificate: Certificate) -> str:
    """What the key of a certificate is called, of whichever kind it is."""
    return id_of(certificate.public_key())  # type: ignore[arg-type]  # of an authority it may be an RSA key


def key_of(certificate: Certificate) -> EllipticCurvePublicKey:
    """The key that a certificate is about. Raises ProjectError if OMS does not know its kind."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = certificate.public_key()
    return public_key(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def out_of_time(chain: Iterable[Certificate], now: datetime) -> list[str]:
    """A sentence for each certificate whose time is over, or has not come."""
    found = []
    for one in chain:
        name = one.subject.rfc4514_string() or "a certificate without a name"
        if one.not_valid_after_utc < now:
            found.append(f"the certificate of {name} expired on {one.not_valid_after_utc.date().isoformat()}")
        if one.not_valid_before_utc > now:
            found.append(f"the certificate of {name} is valid from {one.not_valid_before_utc.date().isoformat()} on")
    return found


def _is_issued_by(below: Certificate, above: Certificate) -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        below.verify_directly_issued_by(above)
        limits = above.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return limits.ca


def _require_may_sign(certificate: Certificate) -> None:
    """As model-signing has it: its key may make digital signatures, or is for signing code."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    def of(kind: type[x509.KeyUsage] | type[x509.ExtendedKeyUsage]) -> x509.KeyUsage | x509.ExtendedKeyUsage | None:
        try:
            return certificate.extensions.get_extension_for_class(kind).value
        except (x509.ExtensionNotFound, ValueError):
            return None

    usage, extended = of(x509.KeyUsage), of(x509.ExtendedKeyUsage)
    digital = isinstance(usage, x509.KeyUsage) and usage.digital_signature
    code = isinstance(extended, x509.ExtendedKeyUsage) and ExtendedKeyUsageOID.CODE_SIGNING in extended
    if not digital and not code:
        raise DamageError("its certificate may not be used for signing")
