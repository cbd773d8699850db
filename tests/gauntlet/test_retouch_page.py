"""The page of ``retouch`` on this machine: strangers get nothing from it, and nothing that was saved is ever lost."""

import http.client
import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import numpy as np
import pytest
from gauntlet.arena import Arena

RECORD = "colorbatch-retouch.jsonl"


class Page:
    """The page that a process serves, as a program reaches it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        self.address = urlsplit(process.stdout.readline().decode().strip())

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> tuple[int, bytes]:
        """Return status and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.address.port or 0, timeout=60)
        ours = {"Origin": f"http://{self.address.netloc}", "Content-Type": "application/json"}
        sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        place = self.address.path if token is None else f"/{token}/"
        try:
            connection.request(method, f"{place}{path}", sent, {**(ours if sent else {}), **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def served(arena: Arena, during: Callable[[Page, "subprocess.Popen[bytes]"], None], *, is_killed: bool = False) -> None:
    """Open the page of an arena, do something with it, and end it."""

    def act(process: "subprocess.Popen[bytes]") -> None:
        during(Page(process), process)
        process.send_signal(signal.SIGINT)

    arguments = ("retouch", "--no-open", "--model", arena.model, arena.source, arena.output)
    arena.command(*arguments, codes={0}, writes=(arena.output,), during=act, is_killed=is_killed)


def test_strangers_get_nothing_and_change_nothing(arena: Arena) -> None:
    arena.fill_and_run(4)
    before = arena.outputs()
    save = {"id": 0, "line": {"strength": 0.1}}

    def attack(page: Page, _process: "subprocess.Popen[bytes]") -> None:
        port = page.address.port
        answers = [
            page.ask("GET", "pictures", token="x" * 43),
            page.ask("POST", "save", save, token=""),
            page.ask("GET", "pictures", headers={"Host": f"evil.example:{port}"}),
            page.ask("POST", "save", save, {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}),
            page.ask("POST", "save", save, {"Origin": "http://evil.example"}),
            page.ask("POST", "save", save, {"Origin": "null"}),
            page.ask("POST", "save", save, {"Content-Type": "text/plain"}),
            page.ask("POST", "save", save, {"Sec-Fetch-Site": "cross-site"}),
            page.ask("PUT", "save", save),
            page.ask("POST", "save", {"id": "../../elsewhere/secret.png", "line": {}}),
            page.ask("POST", "save", {"id": 0, "line": {"model": str(arena.elsewhere / "precious.txt")}}),
            page.ask("POST", "save", {"id": 0, "line": {"input": "../../elsewhere/secret.png"}}),
            page.ask("POST", "save", b"[" * 900_000),
            page.ask("GET", "../../../../../etc/passwd"),
            page.ask("GET", "thumb/%2e%2e%2f%2e%2e%2fetc%2fpasswd"),
        ]
        with suppress(BrokenPipeError, ConnectionResetError):  # it closes the connection before all is sent
            answers.append(page.ask("POST", "save", b" " * 3_000_000))
        assert [status for status, _ in answers if status < 400] == []
        assert not any(b"root:" in body or b"precious" in body for _, body in answers)
        assert page.ask("GET", "alive") == (200, b'{"ok":true}')

    served(arena, attack)
    assert arena.outputs() == before


@pytest.mark.parametrize("seed", range(3))
def test_killed_while_it_saves_it_has_lost_nothing_that_it_confirmed(arena: Arena, seed: int) -> None:
    arena.fill_and_run(8, side=300)
    confirmed: dict[str, float] = {}
    seconds = float(np.random.default_rng(seed).uniform(0.05, 0.6))

    def save_until_killed(page: Page, process: "subprocess.Popen[bytes]") -> None:
        pictures = json.loads(page.ask("GET", "pictures")[1])["pictures"]
        threading.Timer(seconds, process.kill).start()
        for turn in range(10_000):
            picture, strength = pictures[turn % len(pictures)], (turn % 18 + 1) / 20
            try:
                status, _ = page.ask("POST", "save", {"id": picture["id"], "line": {"strength": strength}})
            except OSError:
                return
            assert status == 200
            confirmed[picture["input"]] = strength

    served(arena, save_until_killed, is_killed=True)
    record = arena.output / RECORD
    lines = map(json.loads, record.read_bytes().splitlines() if record.exists() else [])
    kept = {line["input"]: line.get("strength", 1) for line in lines}
    changed = [name for name, strength in confirmed.items() if kept.get(name, 1) != strength]
    assert len(changed) <= 1  # by the last one, which was not confirmed
    foreign = [RECORD] if record.exists() else []
    arena.run(codes={0}, foreign=foreign)
    said = arena.root / "place" / "said.jsonl"
    shutil.copy(record, said) if foreign else said.touch()
    straight = arena.straight("--retouch", said)
    assert {name: value for name, value in arena.outputs().items() if name != RECORD} == straight


def test_a_run_and_the_page_never_write_at_the_same_time(arena: Arena) -> None:
    arena.fill_and_run(4)

    def run_meanwhile(page: Page, _process: "subprocess.Popen[bytes]") -> None:
        arena.run(codes={5})
        assert page.ask("POST", "save", {"id": 0, "line": {"strength": 0.5}})[0] == 200

    served(arena, run_meanwhile)
    arena.run(codes={0}, foreign=[RECORD])


def test_what_one_tab_saved_is_never_replaced_by_another_that_has_not_seen_it(arena: Arena) -> None:
    arena.fill_and_run(4)
    record = arena.output / RECORD

    def save_twice(page: Page, _process: "subprocess.Popen[bytes]") -> None:
        version = json.loads(page.ask("GET", "picture/0")[1])["version"]
        save = {"id": 0, "version": version}
        assert page.ask("POST", "save", save | {"line": {"note": "theirs"}})[0] == 200
        kept = record.read_bytes()
        assert page.ask("POST", "save", save | {"line": {"strength": 0.5}})[0] == 412
        assert page.ask("POST", "copy", {"from": save, "to": [1], "settings": True})[0] == 412
        assert record.read_bytes() == kept

    served(arena, save_twice)
    arena.run(codes={0}, foreign=[RECORD])
