"""The HTTP side of the program `serve`, over the network, with models that do what no model should."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lineage.contract import GoOn, Refuse
from lineage.serving.program.app import Service
from lineage.serving.program.order import Order
from lineage.settings.serving import Limits

HIDDEN = "/home/somebody/secret"
LIMITS = {"megabytes": 0.01, "images": 3, "seconds": 20, "waiting": 1, "threads": 1}
Said = tuple[int, dict[str, str], bytes]


class Echo:
    """Answers with what it was given."""

    def answer(self, body: bytes, kind: str, most: int, refuse: Refuse, go_on: GoOn) -> tuple[bytes, str]:
        return json.dumps({"kind": kind, "size": len(body), "most": most}).encode(), "application/json"


class Refusing:
    """Finds fault with every request."""

    def answer(self, body: bytes, kind: str, most: int, refuse: Refuse, go_on: GoOn) -> tuple[bytes, str]:
        refuse(int(body), "say it otherwise\x1b[2J")


class Broken:
    """Fails, and its error says what no caller should know."""

    def answer(self, body: bytes, kind: str, most: int, refuse: Refuse, go_on: GoOn) -> tuple[bytes, str]:
        raise ValueError(HIDDEN)


class Ending:
    """Wants the process to end."""

    def answer(self, body: bytes, kind: str, most: int, refuse: Refuse, go_on: GoOn) -> tuple[bytes, str]:
        sys.exit(HIDDEN)


class Slow:
    """Answers when it is allowed to."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Semaphore(0), threading.Event()

    def answer(self, body: bytes, kind: str, most: int, refuse: Refuse, go_on: GoOn) -> tuple[bytes, str]:
        self.begun.release()
        assert self.go_on.wait(60)
        return b"late", "text/plain"


class Long:
    """Works on for ever, as long as it is let."""

    def answer(self, body: bytes, kind: str, most: int, refuse: Refuse, go_on: GoOn) -> tuple[bytes, str]:
        if body == b"short":
            return b"short", "text/plain"
        while True:
            go_on()


@contextmanager
def serving(model: Any, **limits: Any) -> Iterator[Callable[..., Said]]:
    """A running server, and what asks it."""
    order = Order(model="models:/m/1", identity="1f", sha256="0", limits=Limits(**{**LIMITS, **limits}))
    config = uvicorn.Config(Service(model, order, {}).app(), log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        port = listener.getsockname()[1]

        def ask(method: str, path: str, body: Any = None, **headers: str) -> Said:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            said = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
            connection.close()
            return said

        try:
            yield ask
        finally:
            server.should_exit = True
            thread.join(30)


def error_of(said: Said, status: int, code: str) -> dict[str, str]:
    """The one form that every error has."""
    assert said[0] == status, said
    assert said[1]["content-type"] == "application/json"
    document: dict[str, dict[str, str]] = json.loads(said[2])
    assert document.keys() == {"error"}
    assert document["error"]["code"] == code
    return document["error"]


def test_an_answer_is_the_models_and_names_the_model() -> None:
    with serving(Echo()) as ask:
        status, headers, data = ask("POST", "/invocations", b"12345", Content_Type="Image/PNG; x=y")
        assert (status, json.loads(data)) == (200, {"kind": "image/png", "size": 5, "most": 3})
        assert headers["x-amzn-sagemaker-custom-attributes"] == "model=models:/m/1,identity=1f"
        status, _, data = ask("GET", "/ping")
        about = {"status": "ok", "model": "models:/m/1", "identity": "1f", "other_packages": {}}
        assert (status, json.loads(data)) == (200, about)


def test_what_is_too_large_is_refused_before_it_is_read() -> None:
    with serving(Echo()) as ask:
        error_of(ask("POST", "/invocations", bytes(10486)), 413, "too_large")
        assert ask("POST", "/invocations", bytes(10485))[0] == 200

        def endless() -> Iterator[bytes]:
            for _ in range(4):
                yield bytes(4096)

        error_of(ask("POST", "/invocations", endless()), 413, "too_large")  # no length is said


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", "/", {}, 404, "not_found"),
        ("GET", "/docs", {}, 404, "not_found"),
        ("POST", "/ping", {}, 405, "not_allowed"),
        ("GET", "/invocations", {}, 405, "not_allowed"),
        ("POST", "/invocations", {"Content_Encoding": "gzip"}, 415, "wrong_type"),
        ("POST", "/invocations", {"Accept": "text/csv"}, 406, "not_acceptable"),
    ],
)
def test_requests_that_are_none(method: str, path: str, headers: dict[str, str], status: int, code: str) -> None:
    with serving(Echo()) as ask:
        error_of(ask(method, path, None, **headers), status, code)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/csv, application/json;q=0.5", ""])
def test_whoever_takes_json_gets_it(accept: str) -> None:
    with serving(Echo()) as ask:
        assert ask("POST", "/invocations", b"x", Accept=accept)[0] == 200


def test_the_callers_fault_is_said_in_a_sentence() -> None:
    with serving(Refusing()) as ask:
        assert error_of(ask("POST", "/invocations", b"415"), 415, "wrong_type")["message"] == r"say it otherwise\x1b[2J"
        error_of(ask("POST", "/invocations", b"200"), 400, "bad_request")  # a refusal is never a success
        error_of(ask("POST", "/invocations", b"500"), 400, "bad_request")


@pytest.mark.parametrize("model", [Broken(), Ending()])
def test_an_error_of_the_server_is_told_to_its_log_alone(model: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(model) as ask:
        said = ask("POST", "/invocations", b"x")
        error = error_of(said, 500, "internal")
        assert HIDDEN.encode() not in said[2]
        assert b"Traceback" not in said[2]
        assert ask("GET", "/ping")[0] == 200
    log = capfd.readouterr().err
    assert f"error {error['id']}" in log
    assert HIDDEN in log


def test_an_answer_that_takes_too_long_is_given_up_and_its_thread_is_missing() -> None:
    model = Slow()
    with serving(model, seconds=0.3) as ask:
        assert "within 0.3 seconds" in error_of(ask("POST", "/invocations", b"x"), 503, "unavailable")["message"]
        assert "held up" in error_of(ask("GET", "/ping"), 503, "unavailable")["message"]
        model.go_on.set()
        deadline = time.monotonic() + 30
        while ask("GET", "/ping")[0] != 200:
            assert time.monotonic() < deadline
        assert ask("POST", "/invocations", b"x")[0] == 200


def test_a_request_that_nobody_waits_for_gives_its_thread_back() -> None:
    """Two short requests that take long to answer would else hold up both threads of a small machine."""
    with serving(Long(), seconds=0.3) as ask:
        for _ in range(2):
            assert "within 0.3 seconds" in error_of(ask("POST", "/invocations", b"x"), 503, "unavailable")["message"]
        deadline = time.monotonic() + 30
        while ask("GET", "/ping")[0] != 200:
            assert time.monotonic() < deadline
        assert ask("POST", "/invocations", b"short")[0] == 200


def test_more_requests_than_may_wait_are_told_to_come_again() -> None:
    model = Slow()
    with serving(model) as ask:  # one is answered, one waits
        answers: list[Said] = []
        threads = [threading.Thread(target=lambda: answers.append(ask("POST", "/invocations", b"x"))) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert model.begun.acquire(timeout=30)
        deadline = time.monotonic() + 30
        said = ask("POST", "/invocations", b"x", Accept="text/csv")
        while said[0] == 406:  # the second has not come yet
            assert time.monotonic() < deadline
            said = ask("POST", "/invocations", b"x", Accept="text/csv")
        error_of(said, 503, "unavailable")
        assert said[1]["retry-after"] == "1"
        assert ask("GET", "/ping")[0] == 200
        model.go_on.set()
        for thread in threads:
            thread.join(30)
        assert [answer[0] for answer in answers] == [200, 200]


def test_a_request_that_does_not_arrive_is_given_up() -> None:
    with serving(Echo(), seconds=0.3) as ask:
        begun, go_on = threading.Event(), threading.Event()

        def slow() -> Iterator[bytes]:
            yield b"x"
            begun.set()
            go_on.wait(30)

        answers: list[Said] = []
        thread = threading.Thread(target=lambda: answers.append(ask("POST", "/invocations", slow())))
        thread.start()
        assert begun.wait(30)
        time.sleep(0.5)  # the limit is a time
        go_on.set()
        thread.join(30)
        error_of(answers[0], 408, "too_slow")
        assert ask("GET", "/ping")[0] == 200


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW"]),
    path=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
    body=st.binary(max_size=200),
    kind=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
)
def test_whatever_is_asked_is_answered_in_one_form(
    echo: Callable[..., Said], method: str, path: str, body: bytes, kind: str
) -> None:
    said = echo(method, f"/{path}", body, Content_Type=kind)
    assert said[0] < 500
    if said[0] >= 400 and method != "HEAD":
        assert json.loads(said[2]).keys() == {"error"}


@pytest.fixture(scope="module")
def echo() -> Iterator[Callable[..., Said]]:
    with serving(Echo()) as ask:
        yield ask
