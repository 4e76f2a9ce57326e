"""What is left in an account: each thing with what it costs, and why it stays if it does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

DAY = 86_400


class Also(StrEnum):
    """What goes only if it is named."""

    answers = "answers"
    captured = "captured"


@dataclass(frozen=True)
class Left:
    """One thing in the account. It may be deleted if `kept` is empty."""

    # endpoint, endpoint-config, model, model-package, model-package-group, artifact, action, context, pipeline,
    # mlflow-app, mlflow-tracking-server, log, warm-pool, objects, answers, captured
    kind: str
    name: str
    cost: str  # what is billed, in words
    kept: str = ""  # why it stays
    arn: str = ""
    addresses: tuple[str, ...] = ()  # of objects in S3; of log streams, as GROUP/STREAM
    usd_month: float | None = 0.0  # of US dollars; None if that is not known

    @property
    def goes(self) -> bool:
        return not self.kept


def age(moment: Any) -> float:
    """Seconds since a moment that AWS names; 0 if it names none."""
    return max(0.0, (datetime.now(UTC) - moment).total_seconds()) if moment else 0.0


def young(moment: Any, days: float, what: str = "it was made") -> str:
    """Why what is of a moment stays; empty if that was more than `days` ago. `what` says what it was the moment of."""
    if age(moment) >= days * DAY:
        return ""
    return f"{what} less than {'a day' if days == 1 else f'{days:g} days'} ago"


def below(addresses: Iterable[str], key: str) -> bool:
    """Whether an address is one of others, or lies below it as in a folder."""
    return any(key == address.rstrip("/") or key.startswith(f"{address.rstrip('/')}/") for address in addresses)


def parted(address: str) -> tuple[str, str]:
    """Bucket and key of an S3 address."""
    parts = urlsplit(address)
    return parts.netloc, parts.path.lstrip("/")
