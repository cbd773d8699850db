import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import pytest

from colorbatch.errors import EnvironmentFailure, MissingExtraError
from colorbatch.retouch import server
from colorbatch.retouch.api import Answer, Api
from colorbatch.retouch.server import Address, held_address, serve


@dataclass(frozen=True)
class Served:
    address: Address
    stop: threading.Event
    thread: threading.Thread

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and body of an answer to a request below the token."""
        connection = http.client.HTTPConnection("127.0.0.1", self.address.port, timeout=20)
        sent = {"Origin": f"http://127.0.0.1:{self.address.port}", "Content-Type": "application/json"} if body else {}
        try:
            connection.request(method, f"/{self.address.token}{path}", body, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


@pytest.fixture
def served(api: Api) -> Iterator[Served]:
    with held_address(None) as address:
        stop = threading.Event()
        thread = threading.Thread(target=serve, args=(api, address, stop))
        thread.start()
        yield Served(address, stop, thread)
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def test_the_page_talks_to_the_session(served: Served) -> None:
    status, headers, body = served.ask("GET", "/pictures")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert len(json.loads(body)["pictures"]) == 2
    assert "server" not in {name.lower() for name in headers}
    status, headers, body = served.ask("POST", "/preview", b'{"id": 0, "line": {"strength": 0.5}}')
    assert (status, headers["content-type"], body[:2]) == (200, "image/jpeg", b"\xff\xd8")
    assert int(headers["x-milliseconds"]) < 20_000
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert served.ask("GET", "/alive")[2] == b'{"ok":true}'
    assert served.ask("GET", "/thumb/0?v=123")[1]["content-type"] == "image/webp"


def test_strangers_get_nothing(served: Served) -> None:
    port = served.address.port
    assert served.ask("GET", "/pictures", headers={"Host": f"evil.example:{port}"})[0] == 403
    assert served.ask("POST", "/save", b"{}", {"Origin": "http://evil.example"})[0] == 403
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", f"/{'x' * len(served.address.token)}/pictures")
    assert connection.getresponse().status == 404
    connection.close()


def test_a_large_body_is_refused_before_it_is_sent(served: Served) -> None:
    """A client that waits for the answer before it sends the body gets one."""
    with socket.create_connection(("127.0.0.1", served.address.port), timeout=20) as client:
        client.sendall(
            f"POST /{served.address.token}/save HTTP/1.1\r\nHost: 127.0.0.1:{served.address.port}\r\n"
            f"Origin: http://127.0.0.1:{served.address.port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: 2000000000\r\n\r\n".encode()
        )
        answer = b""
        while part := client.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"access-control" not in answer.lower()
    assert served.ask("GET", "/alive")[0] == 200


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/retouch.js/../../api.py", "//etc/passwd"]
)
def test_no_path_leads_to_a_file(served: Served, path: str) -> None:
    assert served.ask("GET", path)[0] == 404


def test_only_this_machine_can_connect(served: Served) -> None:
    assert served.address.socket.getsockname()[0] == "127.0.0.1"
    assert len(served.address.token) >= 32
    with held_address(None) as other:
        assert other.token != served.address.token


def test_a_bug_is_told_without_its_details(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Answer:
        raise RuntimeError("a secret path")

    monkeypatch.setattr("colorbatch.retouch.viewer.Viewer.thumb", broken)
    status, _, body = served.ask("GET", "/thumb/0")
    assert (status, json.loads(body)["error"]) == (500, "a bug in colorbatch: RuntimeError")
    assert "a secret path" in caplog.text


def test_it_ends_at_once_though_a_page_is_open(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.address.port, timeout=20)
    connection.request("GET", f"/{served.address.token}/alive")
    connection.getresponse().read()  # and the connection stays open
    started = time.monotonic()
    served.stop.set()
    served.thread.join(20)
    assert time.monotonic() - started < 3
    connection.close()


def test_what_is_being_made_when_it_ends_is_finished(
    served: Served, api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = api._session  # noqa: SLF001 (that of the fixture)
    save, is_saving, go_on = session.save, threading.Event(), threading.Event()

    def slow(*arguments: object) -> object:
        with session._saving:  # noqa: SLF001 (as a picture that takes long)
            is_saving.set()
            assert go_on.wait(20)
            return save(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(session, "save", slow)

    def ask() -> None:
        with suppress(OSError):  # nobody waits for the answer
            served.ask("POST", "/save", b'{"id": 0, "line": {"strength": 0.5}}')

    client = threading.Thread(target=ask)
    client.start()
    assert is_saving.wait(20)
    served.stop.set()
    served.thread.join(20)
    threading.Timer(0.2, go_on.set).start()
    session.close()
    client.join(20)
    assert session.has_saved
    assert caplog.text == ""


def test_a_port_in_use_is_told_of(served: Served) -> None:
    port = served.address.port
    with pytest.raises(EnvironmentFailure, match=f"cannot use the port {port}") as error, held_address(port):
        pass
    assert "--port" in error.value.advice


def test_without_the_extra_the_command_to_install_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(server, "import_module", missing)
    with pytest.raises(MissingExtraError, match="starlette is not installed") as error:
        server.refuse_without_extra()
    assert "colorbatch[retouch]" in error.value.advice
