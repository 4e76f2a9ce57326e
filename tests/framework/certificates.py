"""Keys and certificates for tests: an authority that issues them, on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC)
YEAR = timedelta(days=365)


def key_pair() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: object) -> bytes:
    """A public key as text, of whichever kind."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined, no-any-return]


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@dataclass
class Authority:
    """One that issues certificates, by a certificate that it made for itself unless it is given one."""

    name: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=key_pair)
    certificate: x509.Certificate = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.certificate is None:
            self.certificate = self._issue(self.name, self.key, is_authority=True)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def below(self, name: str) -> Authority:
        """Another authority, by a certificate of this one."""
        key = key_pair()
        return Authority(name, key, self._issue(name, key, is_authority=True))

    def issue(
        self,
        name: str,
        *,
        since: datetime = NOW - timedelta(days=1),
        until: datetime = NOW + YEAR,
        may_sign: bool = True,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """A key, made here unless it is given, and a certificate for it."""
        key = key or key_pair()
        return key, self._issue(name, key, since=since, until=until, may_sign=may_sign)

    def _issue(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        *,
        is_authority: bool = False,
        since: datetime = NOW - timedelta(days=30),
        until: datetime = NOW + 10 * YEAR,
        may_sign: bool = True,
    ) -> x509.Certificate:
        usage = x509.KeyUsage(
            digital_signature=may_sign,
            key_cert_sign=is_authority,
            crl_sign=is_authority,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=not may_sign,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(self.certificate.subject if self.certificate else named(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if not is_authority and may_sign:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        return builder.sign(self.key, hashes.SHA256())
