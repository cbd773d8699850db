import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import LocalJob
from PIL import Image
from retouching import HINT, OpenSession, answered, error_of, got, posted

from colorbatch.pixels.hint import Hint
from colorbatch.records.retouch import RETOUCH_NAME, RetouchLine
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.report import write_report
from colorbatch.retouch.api import Api
from colorbatch.retouch.session import RetouchSession
from colorbatch.run.batch import run_batch


def test_the_list_says_what_became_of_each_picture(api: Api, job: LocalJob) -> None:
    found = got(api, "pictures")
    assert (found["folder"], found["has_source"]) == ("out", True)
    assert found["models"] == ["default", "fast", "unet", job.model]
    first, second = found["pictures"]
    assert {first["input"], second["input"]} == {"a.png", "sub/b.jpg"}  # and not the text
    assert [each["id"] for each in found["pictures"]] == [0, 1]
    assert (first["status"], first["pages"], first["width"], first["height"]) == ("done", 1, 64, 48)
    assert not first["retouched"]
    assert len(first["version"]) == 12


def test_the_order_is_that_of_the_report(job: LocalJob, open_session: OpenSession) -> None:
    """The network is surest of the brightest: its confidence is the mean of the luma, and 0.3 is 23 CIEDE2000."""
    for name, level in (("dark.png", 60), ("bright.png", 250), ("grey.png", 100)):
        Image.new("L", (64, 48), level).save(job.source / name)
    run_batch(job)
    without = [each.input for each in open_session(job).pictures]
    assert without[0] == "dark.png"
    assert without.index("grey.png") < without.index("bright.png")


def test_measures_of_a_report_are_used(job: LocalJob, open_session: OpenSession) -> None:
    Image.new("L", (64, 48), 230).save(job.source / "flat.png")  # of whose colours the network is sure
    purple = RetouchLine("flat.png", hints=(Hint(0.5, 0.5, "#800080", 0.5),))
    (job.output / RETOUCH_NAME).write_bytes(purple.to_json())
    run_batch(job)
    write_report(job.output, job.source)
    session = open_session(job)
    assert session.pictures[0].input == "flat.png"
    assert "purple" in session.pictures[0].concerns
    session.save([RetouchLine("flat.png", 1, strength=0.5)], 1)
    assert list(session.pictures[0].concerns) == []


def test_a_picture_says_what_its_model_can(api: Api) -> None:
    found = got(api, "picture/0", page="1")
    assert found["screen"] == [64, 48]
    assert (found["pages"], found["width"], found["height"]) == (1, 64, 48)
    assert found["line"] == {
        "hints": [],
        "vividness": None,
        "strength": None,
        "model": None,
        "leave_grey": False,
        "note": "",
    }
    assert found["can"] == {"hints": True, "vividness": False, "colors": True}
    assert found["defaults"]["strength"] == 1


def test_what_another_model_can_is_known_before_it_is_used(api: Api) -> None:
    assert got(api, "can") == {"hints": True, "vividness": False, "colors": True}
    assert got(api, "can", model="unet") == {"hints": False, "vividness": False, "colors": False}
    assert got(api, "can", model="fast") == {"hints": True, "vividness": True, "colors": True}
    assert api.answer("GET", "can", {"model": "../../model.onnx"}, b"").status == 400


@pytest.mark.parametrize("content", [None, b"no model"], ids=["absent", "damaged"])
def test_a_picture_whose_model_cannot_be_used_opens_for_another_one(
    job: LocalJob, open_session: OpenSession, tmp_path: Path, content: bytes | None
) -> None:
    model = tmp_path / "other.onnx"
    if content is not None:
        model.write_bytes(content)
    (job.output / RETOUCH_NAME).write_bytes(RetouchLine("a.png", model=str(model)).to_json())
    api = Api(open_session(job))
    number = str(next(each["id"] for each in got(api, "pictures")["pictures"] if each["input"] == "a.png"))
    found = got(api, f"picture/{number}", page="1")
    assert found["line"]["model"] == str(model)
    assert not any(found["can"][word] for word in ("hints", "vividness", "colors"))
    assert str(model) in found["can"]["refused"]
    line = {**found["line"], "model": None, "hints": [HINT]}
    saved = posted(api, "save", id=int(number), page=1, line=line, version=found["version"])
    assert saved["made"]
    assert got(api, f"picture/{number}", page="1")["can"] == got(api, "can")


def test_a_preview_is_a_jpeg_with_the_colour_of_the_hint(api: Api, tmp_path: Path) -> None:
    answer = answered(api, "preview", id=0, page=1, line={"hints": [HINT]})
    assert (answer.status, answer.media_type) == (200, "image/jpeg")
    assert answer.milliseconds is not None
    (tmp_path / "preview.jpg").write_bytes(answer.body)
    pixels = np.asarray(Image.open(tmp_path / "preview.jpg").convert("RGB")).astype(int)
    assert pixels.shape == (48, 64, 3)
    assert pixels[24, 32, 0] - pixels[24, 32, 2] > 80
    assert abs(pixels[2, 2, 0] - pixels[2, 2, 2]) < 12
    found = posted(api, "color", id=0, page=1, line={"hints": [HINT]}, x=0.5, y=0.5)["color"]
    assert np.abs(np.array(list(bytes.fromhex(found[1:]))) - pixels[24, 32]).max() < 12


def test_pictures_before_and_small_are_grey_and_as_large_as_they_should_be(api: Api, tmp_path: Path) -> None:
    for name, size in (("before/1", (64, 48)), ("thumb/1", (64, 48))):
        (tmp_path / "x").write_bytes(api.answer("GET", name, {}, b"").body)
        with Image.open(tmp_path / "x") as image:
            assert image.size == size


def test_saving_answers_with_the_picture_as_it_is_now(api: Api, session: RetouchSession) -> None:
    before = got(api, "pictures")["pictures"][0]
    found = posted(api, "save", id=0, page=1, line={"hints": [HINT], "note": "my grandfather's coat"})
    assert (found["made"], found["message"]) == (True, "")
    after = found["picture"]
    assert after["retouched"]
    assert after["version"] != before["version"]
    assert got(api, "pictures")["pictures"][0] == after
    assert got(api, "picture/0")["line"]["note"] == "my grandfather's coat"
    assert session.retouches.keys() == {after["input"]}


def test_a_second_tab_sees_what_the_first_saved(job: LocalJob, session: RetouchSession) -> None:
    first, second = Api(session), Api(session)
    posted(first, "save", id=0, page=1, line={"hints": [HINT]})
    posted(second, "save", id=1, page=1, line={"leave_grey": True})
    assert [each["retouched"] for each in got(first, "pictures")["pictures"]] == [True, True]
    assert len((job.output / RETOUCH_NAME).read_bytes().splitlines()) == 2


def test_many_saves_at_the_same_time_are_all_kept(job: LocalJob, session: RetouchSession) -> None:
    api = Api(session)

    def save(number: int) -> None:
        for strength in range(5):
            posted(api, "save", id=number, page=1, line={"strength": 0.5 + strength / 10})

    threads = [threading.Thread(target=save, args=(number,)) for number in (0, 1, 0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [json.loads(line)["strength"] for line in (job.output / RETOUCH_NAME).read_bytes().splitlines()] == [
        0.9,
        0.9,
    ]
    session.close()
    assert run_batch(job).kept == 2


def test_what_was_said_is_copied_to_others(api: Api) -> None:
    posted(api, "save", id=0, page=1, line={"hints": [HINT], "strength": 0.5, "note": "mine"})
    found = posted(api, "copy", **{"from": {"id": 0, "page": 1}, "to": [1], "hints": False, "settings": True})
    (picture,) = found["pictures"]
    assert (picture["id"], picture["retouched"], picture["message"]) == (1, True, "")
    line = got(api, "picture/1")["line"]
    assert (line["strength"], line["hints"], line["note"]) == (0.5, [], "")


def test_a_picture_that_cannot_be_made_does_not_stop_the_others(
    api: Api, job: LocalJob, session: RetouchSession
) -> None:
    posted(api, "save", id=0, page=1, line={"hints": [HINT]})
    (job.source / session.pictures[1].input).unlink()
    found = posted(api, "copy", **{"from": {"id": 0}, "to": [1, 0], "hints": True})
    assert [each["message"][:20] for each in found["pictures"]] == ["cannot read the file", ""]


def test_of_several_previews_only_the_newest_is_made(
    api: Api, session: RetouchSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one occupies the network; of those that wait meanwhile, the last one is the only one that counts."""
    colorizer = session.engine(None).colorizer
    started, go_on, calls = threading.Event(), threading.Event(), []
    predict = type(colorizer).predict_pixels

    def slow(*arguments: Any) -> object:  # noqa: ANN401 (those of another)
        calls.append(1)
        started.set()
        assert go_on.wait(20)
        return predict(*arguments)

    monkeypatch.setattr(type(colorizer), "predict_pixels", slow)
    statuses: dict[int, int] = {}

    def ask(number: int) -> None:
        answer = answered(api, "preview", id=0, page=1, line={"strength": number / 10}, client="tab")
        statuses[number] = answer.status

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    threads[0].start()
    assert started.wait(20)
    newest = api._viewer._newest  # noqa: SLF001 (to know when they wait)
    for number, thread in enumerate(threads[1:], start=1):
        thread.start()
        while newest._newest["tab"] < number + 1:  # noqa: SLF001
            threading.Event().wait(0.005)
    go_on.set()
    for thread in threads:
        thread.join()
    assert statuses == {0: 200, 1: 204, 2: 204, 3: 200}
    assert len(calls) == 2


def test_a_source_that_is_deleted_can_be_looked_at_if_it_was_open(
    api: Api, job: LocalJob, session: RetouchSession
) -> None:
    answered(api, "preview", id=0, line={})
    for each in session.pictures:
        (job.source / each.input).unlink()
    assert answered(api, "preview", id=0, line={"strength": 0.5}).status == 200
    assert error_of(answered(api, "save", id=0, line={"strength": 0.5}))[0] == 409
    status, error = error_of(answered(api, "preview", id=1, line={}))
    assert (status, error.partition(":")[0]) == (409, "cannot read the file")


def test_a_source_that_was_replaced_is_opened_again(api: Api, job: LocalJob, session: RetouchSession) -> None:
    before = api.answer("GET", "before/0", {}, b"").body
    Image.new("L", (20, 30), 200).save(job.source / session.pictures[0].input)
    assert got(api, "picture/0")["screen"] == [20, 30]
    assert api.answer("GET", "before/0", {}, b"").body != before


def test_without_the_source_the_luma_of_the_output_is_shown(job: LocalJob, open_session: OpenSession) -> None:
    api = Api(open_session(job, has_source=False))
    assert not got(api, "pictures")["has_source"]
    assert got(api, "picture/0")["screen"] == [64, 48]
    assert answered(api, "preview", id=0, line={"hints": [HINT]}).status == 200
    assert not posted(api, "save", id=0, line={"hints": [HINT]})["made"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_hostile_names_are_only_text_and_never_paths(new_job: LocalJob, open_session: OpenSession) -> None:
    names = ["<img src=x onerror=alert(1)>.png", "a\nb.png", "x..png", "%2e%2e%2fx.png", "\u202egnp.png", "'\"&.png"]
    for name in names:
        Image.linear_gradient("L").resize((16, 16)).save(new_job.source / name)
    api = Api(open_session(new_job))
    found = got(api, "pictures")["pictures"]
    assert all(each["input"].isprintable() for each in found)
    for each in found:
        assert posted(api, "save", id=each["id"], line={"note": "</script><b>\x00\u2028\ud800"})["made"]
        assert got(api, f"picture/{each['id']}")["line"]["note"] == "</script><b>\x00\u2028\ud800"
    assert (new_job.output / RETOUCH_NAME).read_bytes().isascii()
    assert sorted(path.name for path in new_job.output.glob("*.png")) == sorted([*names, "a.png"])


@pytest.mark.parametrize("number", [-1, 2, "1.5", "..", "0x1", None, True, 1e300, [0], "9" * 50, "²"])
def test_a_picture_that_is_not_in_the_list_is_not_found(api: Api, number: object) -> None:
    assert answered(api, "preview", id=number, line={}).status == 404
    assert api.answer("GET", f"thumb/{number}", {}, b"").status == 404


@pytest.mark.parametrize(
    ("path", "values", "status"),
    [
        ("preview", {"id": 0, "page": 2, "line": {}}, 404),
        ("save", {"id": 0, "page": 2, "line": {}}, 404),
        ("preview", {"id": 0, "page": 0, "line": {}}, 400),
        ("preview", {"id": 0, "page": "x", "line": {}}, 400),
        ("preview", {"id": 0, "line": []}, 400),
        ("preview", {"id": 0, "line": {"vividness": 2}}, 400),
        ("preview", {"id": 0, "line": {"model": "../../model.onnx"}}, 400),
        ("preview", {"id": 0, "line": {"vividness": 0.5}}, 409),  # this model has none
        ("suggest", {"id": 0, "line": {}, "x": 2, "y": 0}, 400),
        ("suggest", {"id": 0, "line": {}, "x": "0", "y": 0}, 400),
        ("color", {"id": 0, "line": {}, "y": 0}, 400),
        ("suggest", {"id": 0, "line": {"model": "unet"}, "x": 0, "y": 0}, 409),
        ("save", {"id": 0, "line": {"model": "unet", "hints": [HINT]}}, 400),
        ("copy", {"from": {"id": 0}, "to": 1}, 400),
        ("copy", {"from": {"id": 0}, "to": [7]}, 404),
        ("copy", {"from": 0, "to": [1]}, 400),
        ("palette", {"colors": "red"}, 400),
        ("palette", {"colors": [{"color": "red"}]}, 400),
        ("palette", {"colors": [{"color": "#aabbcc", "name": "n" * 101}]}, 400),
        ("palette", {"colors": [{"color": "#aabbcc"}] * 101}, 400),
        ("nothing", {}, 404),
        ("pictures", {}, 404),
    ],
)
def test_what_cannot_be_answered_says_why(
    api: Api, job: LocalJob, path: str, values: dict[str, object], status: int
) -> None:
    answer = answered(api, path, **values)
    assert answer.status == status
    assert json.loads(answer.body)["error"]
    assert not (job.output / RETOUCH_NAME).exists()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"id": 0, "line": {"note": 1e999}}'])
def test_what_is_not_json_is_refused(api: Api, body: bytes) -> None:
    assert api.answer("POST", "preview", {}, body).status in (400, 404)


def test_colours_that_were_used_are_kept_for_the_job(api: Api, job: LocalJob, open_session: OpenSession) -> None:
    assert got(api, "palette") == {"colors": []}
    colors = [{"color": "#7A8B3C", "name": "uniform field grey"}, {"color": "#000000", "name": "</script>"}]
    posted(api, "palette", colors=colors)
    api._session.close()  # noqa: SLF001
    again = open_session(job)
    kept = got(Api(again), "palette")["colors"]
    assert kept == [{**colors[0], "color": "#7a8b3c"}, colors[1]]
    (job.output / STATE_FOLDER / "retouch-colors.json").write_bytes(b"[[")
    assert got(api, "palette") == {"colors": []}
    again.close()
    assert run_batch(job).kept == 2
