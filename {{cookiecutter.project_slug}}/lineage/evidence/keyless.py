"""Signs by way of Sigstore: no key is kept. A certificate of minutes says who it was, and a public log keeps that.

https://docs.sigstore.dev/about/overview/. It needs a network, and the packages of requirements-evidence.lock.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..base.errors import ProjectError


@dataclass(frozen=True)
class Keyless:
    """Who signs, as an identity provider said a moment ago."""

    token: Any  # of sigstore.oidc
    services: Any  # where the authority and the log of Sigstore are

    def sign(self, statement: dict[str, Any]) -> str:
        """The text of a bundle. Raises ProjectError if Sigstore cannot be asked."""
        from sigstore.dsse import Statement
        from sigstore.sign import SigningContext

        payload = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        with _reached(), SigningContext.from_trust_config(self.services).signer(self.token) as signer:
            return str(signer.sign_dsse(Statement(payload)).to_json()) + "\n"

    def sign_files(self, config: Any, model: Any, signature: Any) -> None:
        """Signs a folder by model-signing, for the same identity."""
        with _reached():
            config.use_sigstore_signer(identity_token=str(self.token)).sign(model, signature)


def identify() -> Keyless:
    """Asks who signs: the job of a CI by the identity that its service gives it, else a person in a browser.

    Raises ProjectError if that cannot be found out.
    """
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import IdentityToken, Issuer, detect_credential

    with _reached():
        services = ClientTrustConfig.production()
        given = detect_credential()
        if given:
            return Keyless(IdentityToken(given), services)
        return Keyless(Issuer(services.signing_config.get_oidc_url()).identity_token(), services)


@contextmanager
def _reached() -> Iterator[None]:
    """Whatever of the network goes wrong in there is one answer: errors of several packages have no class in common."""
    try:
        yield
    except Exception as error:
        said = (str(error).splitlines() or [""])[0][:200]
        raise ProjectError(
            f"Sigstore cannot be used: {type(error).__name__}: {said}. Nothing was written. It needs a network; sign "
            "with --key where there is none."
        ) from None
