"""Requests to the API of the service that hosts the project: JSON in, JSON out."""

import json
import time
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from steps import PAUSES, StopError

PASSING = (429, 500, 502, 503, 504)
UNDONE = (429, 503)  # of a POST, that may not be sent twice: these say that nothing was done
TIMEOUT = 60


def ask(method, url, headers, document=None):
    """The answer to a request, as data. Raises StopError if it is refused, or nobody answers."""
    body = None if document is None else json.dumps(document).encode()
    headers = {"Accept": "application/json", "Content-Type": "application/json", **headers}
    for pause in (*PAUSES, None):
        try:
            with urlopen(Request(url, body, headers, method=method), timeout=TIMEOUT) as response:
                return json.loads(response.read() or b"null")
        except HTTPError as error:
            if pause is None or error.code not in (UNDONE if method == "POST" else PASSING):
                said = error.read(2000).decode("utf-8", "replace")
                raise StopError(f"{method} {url} was refused ({error.code}): {said}") from None
        except (OSError, HTTPException) as error:  # no connection, or one that ends within the answer
            if pause is None or method == "POST":
                raise StopError(f"{method} {url} got no answer: {error}") from None
        time.sleep(pause)
    raise AssertionError


def pages(url, headers):
    """The items of all pages of a list, the newest page last."""
    number, mark = 1, "&" if "?" in url else "?"
    while found := ask("GET", f"{url}{mark}per_page=100&page={number}", headers):
        yield from found
        number += 1
