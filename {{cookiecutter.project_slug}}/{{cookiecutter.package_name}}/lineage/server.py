"""Whether an MLflow server answers, asked as MLflow's own client asks: its certificates, proxies, tokens and plug-ins.

MLflow itself would ask for minutes, and say less.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from ..errors import TrackerError
from .git import strip_user

BACKOFF, TIMEOUT = 0.5, 3  # seconds
CERTIFICATES = (
    "Name the file of the authority that signed it, or of the certificate itself: "
    "`export MLFLOW_TRACKING_SERVER_CERT_PATH=/path/ca.pem`"
)


class SilentError(TrackerError):
    """Nobody answers at the address."""


class UntrustedError(TrackerError):
    """Somebody answers, and one side does not accept the other's certificate."""


def ask(uri: str, tries: int = 1, path: str = "/health", patience: float = TIMEOUT) -> tuple[int, str]:
    """Status and text of the answer of the server at `uri`; any will do. Raises SilentError or UntrustedError."""
    from .tracking import quiet

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


def _of_certificates(error: BaseException) -> str:
    """What is wrong with a certificate and what to do, after the address; empty if nothing is."""
    import ssl

    from mlflow.exceptions import MlflowException
    from requests.exceptions import SSLError

    chain = list(_chain(error))
    named = {name: os.environ.get(f"MLFLOW_TRACKING_{name}_PATH") for name in ("SERVER_CERT", "CLIENT_CERT")}
    for one in chain:
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"has a certificate that is not trusted here ({one.verify_message}). {CERTIFICATES}."
    for one in chain:
        if isinstance(one, OSError) and "TLS" in str(one) and "invalid path" in str(one):
            return f"cannot be asked: {one}. MLFLOW_TRACKING_SERVER_CERT_PATH or REQUESTS_CA_BUNDLE names that file."
        if isinstance(one, OSError | ValueError) and named["CLIENT_CERT"] and "certificate file" in str(one):
            return f"cannot be asked: {one}. MLFLOW_TRACKING_CLIENT_CERT_PATH names that file."
        if isinstance(one, MlflowException) and "must not be set" in str(one):
            return (
                "cannot be asked: MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH exclude each "
                "other. Unset one of them."
            )
    for one in chain:
        if isinstance(one, ssl.SSLError | SSLError):
            said = _reason(error)
            if "WRONG_VERSION_NUMBER" in said or "record layer" in said:
                return f"does not speak TLS ({said}). Is its address http://?"
            if "alert" in said.lower() or "ALERT" in said:
                return (
                    f"does not accept this client ({said}). Name the client's certificate and key, in one file: "
                    "`export MLFLOW_TRACKING_CLIENT_CERT_PATH=/path/client.pem`."
                )
            return f"cannot be asked over TLS ({said}). {CERTIFICATES}."
    return ""


def _reason(error: BaseException) -> str:
    """The innermost thing that was said, short."""
    from requests.exceptions import ProxyError
    from urllib3.exceptions import MaxRetryError

    chain = list(_chain(error))
    reason = next((one.reason for one in chain if isinstance(one, MaxRetryError) and one.reason), chain[-1])
    if isinstance(reason, OSError) and reason.strerror:
        said = reason.strerror
    else:
        said = (str(reason).strip() or type(reason).__name__).rpartition(": ")[2]
    behind = any(isinstance(one, ProxyError) for one in chain)
    return f"through the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name: {said}" if behind else said[:200]


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
