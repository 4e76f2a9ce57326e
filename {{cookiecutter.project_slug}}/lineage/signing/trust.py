"""Whose signatures count: attestations/trust.json, a file in Git that is reviewed like any other.

A key that was replaced is `retired`: what it signed before still counts, and Git's commits say what was before. A key
that somebody else may have is `revoked`: nothing that it ever signed counts.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ..base.documents import read_as
from ..base.errors import DamageError, ProjectError
from ..base.printable import printable
from .authority import fingerprint, key_id
from .bundle import id_of, public_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.x509 import Certificate

FOLDER = "attestations"
TRUST = f"{FOLDER}/trust.json"
State = Literal["active", "retired", "revoked"]
STATES = get_args(State)  # each worse than the one before, and none is ever left for a better one


def _in_one_line(text: str) -> str:
    if printable(text) != text:
        raise ValueError("it holds line breaks, control characters or marks of direction")
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Trusted(_Strict):
    """One key, or one authority whose certificates count."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    kind: Literal["key", "authority"]
    pem: Annotated[str, Field(max_length=20_000)]
    state: State = "active"
    reason: Annotated[str, Field(max_length=2000), AfterValidator(_in_one_line)] = ""

    @property
    def key(self) -> EllipticCurvePublicKey:
        """The key. Raises DamageError if it is none, or another than its id says."""
        try:
            found = public_key(self.pem.encode())
        except ProjectError as error:
            raise DamageError(f"the key {self.id[:12]} of {TRUST}: {error}") from None
        if id_of(found) != self.id:
            raise DamageError(f"the key {self.id[:12]} of {TRUST} is another one than its id says")
        return found

    @property
    def certificate(self) -> Certificate:
        """The certificate of the authority. Raises DamageError as `key` does."""
        from cryptography import x509

        try:
            found = x509.load_pem_x509_certificate(self.pem.encode())
        except ValueError:
            raise DamageError(f"the authority {self.id[:12]} of {TRUST} is no certificate") from None
        if fingerprint(found) != self.id:
            raise DamageError(f"the authority {self.id[:12]} of {TRUST} is another one than its id says")
        return found

    def is_one_of(self, ids: Collection[str]) -> bool:
        """Whether one of these ids is its own, or that of the key of its certificate, where that can be read."""
        if self.id in ids or self.kind == "key":
            return self.id in ids
        with suppress(DamageError):
            return key_id(self.certificate) in ids
        return False


class Trust(_Strict):
    """The whole file."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    signers: list[Trusted] = []

    def find(self, identity: str) -> Trusted | None:
        """The key of this id, or the authority."""
        return next((one for one in self.signers if one.id == identity), None)

    def named(self, beginning: str) -> Trusted:
        """The one whose id begins so. Raises ProjectError if that is none or several."""
        found = [one for one in self.signers if one.id.startswith(beginning)]
        if len(found) != 1:
            raise ProjectError(f"{beginning} is the beginning of {len(found)} ids in {TRUST}. `lineage keys list`.")
        return found[0]

    def with_(self, signer: Trusted) -> Trust:
        """A copy in which this one has its place, or is the last."""
        kept = [signer if one.id == signer.id else one for one in self.signers]
        return Trust(signers=kept if self.find(signer.id) else [*kept, signer])

    def to_json(self) -> str:
        """The content of the file."""
        return json.dumps(self.model_dump(by_alias=True), indent=2, ensure_ascii=False) + "\n"


def parse_trust(data: bytes | None) -> Trust:
    """The file; without one, nobody is trusted. Raises DamageError if it is no such file."""
    if data is None:
        return Trust()
    try:
        found = read_as(Trust, data)
    except DamageError as error:
        raise DamageError(f"{TRUST}: {error}") from None
    if len({one.id for one in found.signers}) < len(found.signers):
        raise DamageError(f"{TRUST} names a signer twice")
    return found
