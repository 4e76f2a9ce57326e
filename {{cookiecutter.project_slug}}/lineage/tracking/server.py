"""Whether an MLflow server answers, asked as MLflow's own client asks: its certificates, proxies, tokens and plug-ins.

MLflow itself would ask for minutes, and say less.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from ..base.errors import TrackerError
from ..git.repository import strip_user
from .quiet import quiet

BACKOFF, TIMEOUT = 0.5, 3  # seconds
TRIES = 5  # before it counts as silent, in about eight seconds
CERTIFICATES = (
    "Name the file of the authority that signed it, or of the certificate itself: "
    "`export MLFLOW_TRACKING_SERVER_CERT_PATH=/path/ca.pem`"
)
# what requests and MLflow say of settings that cannot be right
NOT_ASKED = {
    "Could not find a suitable TLS CA certificate bundle": (
        "the file that MLFLOW_TRACKING_SERVER_CERT_PATH or REQUESTS_CA_BUNDLE names does not exist."
    ),
    "Could not find the TLS certificate file": ("the file that MLFLOW_TRACKING_CLIENT_CERT_PATH names does not exist."),
    "must not be set": (
        "MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH exclude each other. Unset one of them."
    ),
}


class SilentError(TrackerError):
    """Nobody answers at the address."""


class UntrustedError(TrackerError):
    """Somebody answers, and one side does not accept the other's certificate."""


def ask(uri: str, tries: int = 1, path: str = "/health", patience: float = TIMEOUT) -> tuple[int, str]:
    """Status and text of the answer of the server at `uri`; any will do. Raises SilentError or UntrustedError."""
    quiet()
    from mlflow.tracking._tracking_service.utils import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    last: BaseException = TimeoutError()
    for attempt in range(tries):
        if attempt:
            time.sleep(BACKOFF * 2 ** (attempt - 1))
        try:
            creds = get_default_host_creds(uri.rstrip("/"))
            answer = http_request(
                creds,
                path,
                "GET",
                max_retries=0,
                timeout=(TIMEOUT, patience),  # to connect, to answer
                retry_codes=(),
                raise_on_status=False,
            )
            return int(answer.status_code), str(answer.text)
        except Exception as error:  # MLflow's, those of requests, urllib3, a plug-in, the operating system
            last = error
            if untrusted := _of_certificates(error):
                raise UntrustedError(f"{strip_user(uri)} {untrusted}") from error
    raise SilentError(f"{strip_user(uri)} does not answer ({_reason(last)}).") from last


def require_answer(uri: str, advice: str) -> None:
    """Raises TrackerError if no server answers: MLflow would ask for minutes, each time. Any answer will do.

    Databases and ARNs are not asked. `advice` ends the message.
    """
    if urlsplit(uri).scheme not in ("http", "https"):
        return
    try:
        ask(uri, TRIES)
    except SilentError as error:
        raise SilentError(f"{error} Start it, {advice}") from None


def _of_certificates(error: BaseException) -> str:
    """What is wrong with a certificate and what to do, after the address; empty if nothing is."""
    import ssl

    from requests.exceptions import SSLError

    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"has a certificate that is not trusted here ({one.verify_message}). {CERTIFICATES}."
    said = " ".join(map(str, chain))
    for text, cause in NOT_ASKED.items():
        if text in said:
            return f"cannot be asked: {cause}"
    if not any(isinstance(one, ssl.SSLError | SSLError) for one in chain):
        return ""
    if "WRONG_VERSION_NUMBER" in said or "record layer failure" in said:
        return "does not speak TLS. Is its address http://?"
    # a server that wants a certificate and gets none says so, or hangs up
    if "alert" in said.lower() or "EOF occurred" in said:
        return (
            f"does not accept this client ({_reason(error)}). Name the client's certificate and key, in one file: "
            "`export MLFLOW_TRACKING_CLIENT_CERT_PATH=/path/client.pem`."
        )
    return f"cannot be asked over TLS ({_reason(error)}). {CERTIFICATES}."


def _reason(error: BaseException) -> str:
    """What the operating system or the TLS library said, or else the innermost error, short."""
    from requests.exceptions import ProxyError

    chain = list(_chain(error))
    of_system = (one.strerror for one in chain if isinstance(one, OSError) and one.errno and one.strerror)
    said = next(of_system, None) or str(chain[-1]).strip().rpartition(": ")[2] or type(chain[-1]).__name__
    if any(isinstance(one, ProxyError) for one in chain):
        return f"through the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name: {said[:200]}"
    return said[:200]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what lies behind it, which requests and urllib3 keep in several ways."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        behind = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        waiting += [other for other in behind if isinstance(other, BaseException)]
