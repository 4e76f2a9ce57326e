"""Where people see a repository in a browser."""

from __future__ import annotations

from .repository import strip_user


def web_url(url: str | None) -> str | None:
    """The address of the Git host for a browser, of what Git calls the remote; None if it is not on the web."""
    if url is None:
        return None
    if "://" not in url and "@" in url and ":" in url:  # git@host:owner/name.git
        host, _, path = url.partition("@")[2].partition(":")
        url = f"https://{host}/{path}"
    if url.startswith("ssh://"):
        url = "https://" + strip_user(url).removeprefix("ssh://")
    return url.removesuffix(".git") if url.startswith(("http://", "https://")) else None
