"""The HTTP side: limits on size, number and time, and errors in one form. A caller never sees a traceback.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect

from ...base.printable import printable
from ...base.workers import processors
from .loaded import JSON, RefusedError, refuse

if TYPE_CHECKING:
    from ...contract import Answering
    from .order import Order

# of a failed request: what is wrong, in a word that programs can tell apart
CODES = {400: "bad_request", 404: "not_found", 405: "not_allowed", 406: "not_acceptable", 408: "too_slow"}
CODES |= {413: "too_large", 415: "wrong_type", 500: "internal", 503: "unavailable"}
ACCEPTED = ("*/*", "application/*", JSON)
WHICH = "X-Amzn-SageMaker-Custom-Attributes"  # the one header of an answer that SageMaker hands on


class Busy(Exception):  # noqa: N818  no error of anybody
    """Nothing can be answered now."""


@dataclass
class Work:
    """What becomes of one request in its thread."""

    until: float  # of time.monotonic: nobody waits longer
    is_done: bool = False
    is_late: bool = False  # nobody waits for it any more


class Service:
    """Answers requests with one model, a few at a time."""

    def __init__(self, model: Answering, order: Order, other_packages: dict[str, str]) -> None:
        self._model, self._order, self._limits = model, order, order.limits
        self._threads = order.limits.threads or processors()
        self._pool = ThreadPoolExecutor(self._threads, "answer")
        self._open = 0  # requests, in work or waiting
        self._late = 0  # answers that nobody waits for any more, and that are still being worked on
        self._lock = threading.Lock()
        self._which = {WHICH: order.which}
        self._about = {"model": order.model, "identity": order.identity, "other_packages": other_packages}

    def app(self) -> FastAPI:
        """The application: /ping and /invocations, and no other."""
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        app.add_route("/ping", self.ping, methods=["GET"])
        app.add_route("/invocations", self.invocations, methods=["POST"])
        for status in (404, 405):
            app.add_exception_handler(status, self._no_such)
        app.add_exception_handler(Exception, self._unexpected)
        return app

    async def ping(self, request: Request) -> Response:
        """200 while requests can be answered: the model has answered its example before anything listened."""
        if self._late >= self._threads:
            return _error(503, f"all {self._threads} threads are held up by requests that take too long")
        return _json(200, {"status": "ok", **self._about})

    async def invocations(self, request: Request) -> Response:
        """The answer of the model, or what is wrong."""
        self._open += 1
        try:
            return await self._answer(request)
        except RefusedError as error:
            return _error(error.status, str(error))
        except ClientDisconnect:
            return _error(400, "the request was not sent whole")  # nobody reads it
        except Busy as error:
            return _error(503, str(error), **{"Retry-After": "1"})
        except Exception as error:
            return await self._unexpected(request, error)
        finally:
            self._open -= 1

    async def _answer(self, request: Request) -> Response:
        seconds = self._limits.seconds
        if self._open > self._threads + self._limits.waiting:
            raise Busy(f"{self._open - 1} requests are being answered or wait; ask again")
        _require_accepted(request.headers.get("accept", ""))
        deadline = asyncio.get_running_loop().time() + seconds
        until = time.monotonic() + seconds
        try:
            async with asyncio.timeout_at(deadline):
                body = await self._body(request)
        except TimeoutError:
            refuse(408, f"the request did not arrive within {seconds:g} seconds")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        call = self._pool.submit(self._work, work := Work(until), body, kind)
        try:
            async with asyncio.timeout_at(deadline):
                answer, made = await asyncio.wrap_future(call)
        except TimeoutError:
            with self._lock:
                if (
                    not call.cancelled() and not work.is_done
                ):  # a thread cannot be stopped: until it ends, it is missing
                    work.is_late = True
                    self._late += 1
            raise Busy(self._no_answer) from None
        return Response(answer, 200, self._which, made)

    def _work(self, work: Work, body: bytes, kind: str) -> tuple[bytes, str]:
        def go_on() -> None:
            if time.monotonic() >= work.until:
                raise Busy(self._no_answer)

        try:
            return self._model.answer(body, kind, self._limits.images, refuse, go_on)
        except SystemExit as error:  # it would end the server
            raise RuntimeError("the model asked Python to end") from error
        finally:
            with self._lock:
                work.is_done = True
                self._late -= work.is_late

    @property
    def _no_answer(self) -> str:
        return f"there was no answer within {self._limits.seconds:g} seconds"

    async def _body(self, request: Request) -> bytes:
        most = int(self._limits.megabytes * 2**20)
        too_large = f"a request may have {self._limits.megabytes:g} MiB"
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            refuse(415, "the body must not be compressed (Content-Encoding)")
        if int(request.headers.get("content-length") or 0) > most:
            refuse(413, too_large)
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > most:
                refuse(413, too_large)
            parts.append(part)
        return b"".join(parts)

    async def _no_such(self, request: Request, error: Exception) -> Response:
        status = int(getattr(error, "status_code", 404))
        return _error(status, "there are GET /ping and POST /invocations")

    async def _unexpected(self, request: Request, error: Exception) -> Response:
        """The log gets the error under a number, the caller the number."""
        number = secrets.token_hex(8)
        said = "".join(traceback.format_exception(error))
        print(f"error {number}:\n{said}", file=sys.stderr, flush=True)
        return _error(500, f"the model could not answer; the log of the server says why, under {number}", id=number)


def _require_accepted(accept: str) -> None:
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    if any(kinds) and not any(kind in ACCEPTED for kind in kinds):
        refuse(406, f"answers are {JSON}")


def _error(status: int, message: str, id: str | None = None, **headers: str) -> Response:  # noqa: A002  as it is called
    error = {"code": CODES.get(status, "refused"), "message": printable(message), **({"id": id} if id else {})}
    return _json(status, {"error": error}, headers)


def _json(status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(content).encode(), status, headers, JSON)
