import json
import threading
import time
from collections.abc import Callable, Sequence

import pytest
from helpers import LocalJob
from PIL import Image

from colorbatch.errors import UsageError
from colorbatch.retouch import opening
from colorbatch.retouch.api import Answer
from colorbatch.retouch.made_with import Choices
from colorbatch.retouch.opening import Opening
from colorbatch.retouch.session import RetouchSession
from colorbatch.run.plan import PlannedPicture


def opened(job: LocalJob, failed: threading.Event | None = None) -> Opening:
    return Opening(job.source, job.output, Choices(model=str(job.model)), failed or threading.Event())


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """An event for which every session waits before it is opened."""
    go_on = threading.Event()
    init: Callable[..., None] = RetouchSession.__init__

    def wait_and_open(*arguments: object) -> None:
        assert go_on.wait(20)
        init(*arguments)

    monkeypatch.setattr(RetouchSession, "__init__", wait_and_open)
    monkeypatch.setattr(opening, "_SECONDS_TO_WAIT", 0.01)
    return go_on


def test_what_is_wrong_is_known_before_the_page_is_shown(job: LocalJob) -> None:
    failed = threading.Event()
    found = Opening(job.source, job.output, Choices(), failed)
    with pytest.raises(UsageError, match="not built in"):
        found.wait()
    assert failed.wait(20)
    found.close()


def test_the_page_is_shown_and_the_list_waits_while_a_session_is_opened(
    job: LocalJob, slow: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "page_answer", lambda path, _: Answer(path.encode()))
    found = opened(job)
    found.wait()
    assert found.answer("GET", "retouch.js", {}, b"").body == b"retouch.js"
    threading.Timer(0.1, slow.set).start()
    assert found.answer("GET", "pictures", {}, b"").status == 200
    found.close()
    assert found.session().has_saved is False


def test_what_goes_wrong_later_ends_the_server(job: LocalJob, slow: threading.Event) -> None:
    failed = threading.Event()
    found = opened(job, failed)
    found.wait()
    (job.output / "colorbatch-retouch.jsonl").write_text("broken")
    slow.set()
    assert failed.wait(20)
    with pytest.raises(UsageError, match="line 1: not JSON"):
        found.session()
    started = time.monotonic()
    found.close()
    assert time.monotonic() - started < 5


def test_the_list_is_shown_before_the_sources_are_planned_and_the_model_is_opened(
    job: LocalJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.linear_gradient("L").resize((32, 24)).save(job.source / "new.png")
    go_on = threading.Event()
    plan = RetouchSession._plan  # noqa: SLF001 (what takes long)

    def slow_plan(session: RetouchSession) -> Sequence[PlannedPicture]:
        assert go_on.wait(20)
        return plan(session)

    monkeypatch.setattr(RetouchSession, "_plan", slow_plan)
    found = opened(job)
    early = json.loads(found.answer("GET", "pictures", {}, b"").body)
    assert sorted(each["input"] for each in early["pictures"]) == ["a.png", "sub/b.jpg"]
    go_on.set()
    news = json.loads(found.answer("GET", "news", {"since": str(early["at"])}, b"").body)
    assert [(each["id"], each["input"]) for each in news["pictures"]] == [(2, "new.png")]
    late = json.loads(found.answer("GET", "pictures", {}, b"").body)
    assert late["pictures"] == [*early["pictures"], *news["pictures"]]
    found.close()
