"""Asks whether the pages that the manual and the READMEs link to are still there: `make links`.

    python scripts/links.py [PAGE...]

A link is dead if its server says that there is no such page, or if no server has that name. Whoever refuses programs,
is busy or does not answer in time has not been looked at: that is said, and is no reason to fail, unless nobody
answers at all. Standard library only.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

TEMPLATE = Path(__file__).resolve().parents[1]
PAGES = ("*.md", "docs/**/*.md", "benchmarks/*.md", "{{cookiecutter.project_slug}}/*.md")
PAGES += ("{{cookiecutter.project_slug}}/docs/*.md", "{{cookiecutter.project_slug}}/infra/*.md")
LINK = re.compile(r"\]\(<?(https?://[^\s)>]+)|<(https?://[^\s>]+)>|(?:href|src|srcset)=\"(https?://[^\"\s]+)\"")
# what stands for an address of the reader's, or of a machine of theirs
NOBODY = re.compile(r"https?://([A-Z]|localhost|127\.|\[::1\]|([\w.-]+\.)?example\.(org|com|net)\b)|[{}]|\.\.\.")
GONE = (404, 410)
WAIT, TRIES, AT_ONCE = 20, 3, 8  # seconds, tries, links
AS = {"User-Agent": "Mozilla/5.0 (links of a manual)", "Accept": "text/html,*/*"}


def main(pages: Iterable[Path]) -> int:
    """Prints what is dead and what was not looked at. Returns 1 if something is dead, 2 if nothing was seen."""
    places = by_address(pages)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        said = dict(zip(places, pool.map(state, places), strict=True))
    dead = {url: text for url, text in said.items() if text.startswith("dead")}
    unseen = {url: text for url, text in said.items() if text.startswith("not looked at")}
    for url, text in {**dead, **unseen}.items():
        print(f"{text}: {url} ({', '.join(places[url])})")
    print(f"{len(said) - len(dead) - len(unseen)} of {len(said)} links lead somewhere, {len(dead)} are dead, ", end="")
    print(f"{len(unseen)} were not looked at.")
    if dead:
        return 1
    return 2 if said and len(unseen) == len(said) else 0


def by_address(pages: Iterable[Path]) -> dict[str, list[str]]:
    """Where each address is linked to, as PAGE:LINE."""
    found: dict[str, list[str]] = {}
    for page in pages:
        shown = page.relative_to(TEMPLATE) if page.is_relative_to(TEMPLATE) else page
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            for url in links(line):
                found.setdefault(url, []).append(f"{shown}:{number}")
    return found


def links(line: str) -> Iterator[str]:
    """The addresses that a line links to, without the part of the page that they name."""
    for found in LINK.findall(line):
        url = "".join(found).partition("#")[0]
        if not NOBODY.search(url):
            yield url


def state(url: str) -> str:
    """What became of asking: `there`, `dead: ...` or `not looked at: ...`."""
    said = ""
    for _ in range(TRIES):
        said = _ask(url)
        if not said.startswith("not looked at"):
            break
    return said


def _ask(url: str) -> str:
    try:
        with urlopen(Request(url, headers=AS), timeout=WAIT) as answer:
            answer.read(1)
            return "there"
    except HTTPError as error:
        return f"dead: {error.code}" if error.code in GONE else f"not looked at: {error.code}"
    except (OSError, ValueError) as error:  # URLError, a time-out, a connection that broke off, an answer of no sense
        reason = error.reason if isinstance(error, URLError) else error
        is_nobody = isinstance(reason, socket.gaierror) and reason.errno == socket.EAI_NONAME and _has_network()
        return f"{'dead' if is_nobody else 'not looked at'}: {reason}"


def _has_network() -> bool:
    """Whether names are answered here at all: without a network, no name is."""
    try:
        return bool(socket.getaddrinfo("github.com", 443))
    except OSError:
        return False


if __name__ == "__main__":
    given = [Path(each).resolve() for each in sys.argv[1:]]
    sys.exit(main(given or sorted({page for pattern in PAGES for page in TEMPLATE.glob(pattern)})))
