"""What the page is answered when something was changed since it asked: lines, drafts, files."""

import json

import pytest
from helpers import LocalJob
from PIL import Image
from retouching import HINT, OpenSession, answered, error_of, got, posted

from colorbatch.records.retouch import RETOUCH_NAME, RetouchLine
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.retouch.api import Api
from colorbatch.retouch.session import RetouchSession
from colorbatch.run.batch import run_batch

# --- two who change the same picture ---


def test_a_line_that_was_saved_meanwhile_is_not_overwritten(api: Api, job: LocalJob) -> None:
    version = got(api, "picture/0")["version"]
    first = posted(api, "save", id=0, page=1, line={"hints": [HINT]}, version=version)
    kept = (job.output / RETOUCH_NAME).read_bytes()
    stale = answered(api, "save", id=0, page=1, line={"strength": 0.5}, version=version)
    assert stale.status == 412
    assert json.loads(stale.body)["line"]["hints"] == [HINT]
    assert json.loads(stale.body)["version"] == first["version"] == got(api, "picture/0")["version"]
    assert (job.output / RETOUCH_NAME).read_bytes() == kept
    posted(api, "save", id=0, page=1, line={"strength": 0.5}, version=first["version"])
    assert got(api, "picture/0")["line"]["strength"] == 0.5


def test_a_line_that_was_written_by_hand_meanwhile_is_not_overwritten(api: Api, job: LocalJob) -> None:
    found = got(api, "pictures")
    version, name = got(api, "picture/0")["version"], found["pictures"][0]["input"]
    (job.output / RETOUCH_NAME).write_bytes(RetouchLine(name, note="a dress").to_json())
    news = got(api, "news", since=str(found["at"]))
    assert [each["id"] for each in news["pictures"]] == [0]
    assert news["pictures"][0]["said"] != found["pictures"][0]["said"]
    assert got(api, "news", since=str(news["at"])) == {"at": news["at"], "pictures": []}
    stale = answered(api, "save", id=0, page=1, line={"strength": 0.5}, version=version)
    assert (stale.status, json.loads(stale.body)["line"]["note"]) == (412, "a dress")


def test_a_save_of_one_page_is_no_news_for_another(new_job: LocalJob, open_session: OpenSession) -> None:
    pages = [Image.linear_gradient("L").resize((64, 48)) for _ in range(2)]
    pages[0].save(new_job.source / "c.tif", save_all=True, append_images=pages[1:])
    session = open_session(new_job)
    number = session.number_of("c.tif")
    api = Api(session)
    version = got(api, f"picture/{number}", page="2")["version"]
    posted(api, "save", id=number, page=1, line={"strength": 0.5})
    assert got(api, f"picture/{number}", page="2")["version"] == version
    posted(api, "save", id=number, page=2, line={"strength": 0.6}, version=version)


def test_a_record_that_is_not_valid_while_it_is_edited_is_no_news(api: Api, job: LocalJob) -> None:
    (job.output / RETOUCH_NAME).write_bytes(b'{"schema": 1, "input": "a.png", "streng')
    assert got(api, "news", since="0") == {"at": 0, "pictures": []}
    assert [each["retouched"] for each in got(api, "pictures")["pictures"]] == [False, False]


def test_what_was_changed_meanwhile_is_not_copied_over_and_can_be_put_back(api: Api) -> None:
    posted(api, "save", id=0, page=1, line={"hints": [HINT]})
    said = got(api, "pictures")["pictures"][1]["said"]
    posted(api, "save", id=1, page=1, line={"strength": 0.5, "note": "theirs"})
    origin = {"id": 0, "page": 1}
    copy = {"from": origin, "to": [1], "hints": True, "settings": True}
    (found,) = posted(api, "copy", **copy, said=[said])["pictures"]
    assert (found["is_changed"], found["before"]) == (True, None)
    assert got(api, "picture/1")["line"]["strength"] == 0.5
    (found,) = posted(api, "copy", **copy, said=[found["said"]])["pictures"]
    assert (found["is_changed"], found["before"][0]["strength"]) == (False, 0.5)
    assert got(api, "picture/1")["line"]["hints"] == [HINT]
    back = posted(api, "restore", id=1, lines=found["before"], said=found["said"])["picture"]
    assert not back["is_changed"]
    line = got(api, "picture/1")["line"]
    assert (line["hints"], line["strength"], line["note"]) == ([], 0.5, "theirs")
    late = posted(api, "restore", id=1, lines=found["before"], said=found["said"])["picture"]
    assert late["is_changed"]
    stale = answered(api, "copy", **(copy | {"from": origin | {"version": "old"}}))
    assert stale.status == 412


def test_colours_that_two_tabs_name_are_all_kept(api: Api) -> None:
    first, second, third = ({"color": f"#11223{number}", "name": ""} for number in range(3))
    posted(api, "palette", colors=[first, second], known=[])
    roof = first | {"name": "roof"}
    posted(api, "palette", colors=[roof, second], known=[first, second])
    theirs = posted(api, "palette", colors=[third, first, second], known=[first, second])  # has not seen the name
    assert theirs == {"colors": [third, roof, second]}
    forgotten = posted(api, "palette", colors=[first], known=[first, second])  # nor the third
    assert forgotten == {"colors": [roof, third]}
    many = [{"color": f"#{number:06x}", "name": ""} for number in range(100)]
    full = posted(api, "palette", colors=many, known=[])["colors"]
    assert len(full) == 100
    assert roof in full


# --- what is not saved yet ---


def test_what_was_not_saved_is_shown_by_the_next_session(
    api: Api, job: LocalJob, session: RetouchSession, open_session: OpenSession
) -> None:
    info = got(api, "picture/1")
    draft = {"id": 1, "page": 1, "tab": "one", "line": {"hints": [HINT]}, "base": {}, "version": info["version"]}
    posted(api, "draft", **draft)
    posted(api, "draft", **(draft | {"id": 0}))
    posted(api, "draft", id=0, page=1, tab="one", line=None)
    assert got(api, "drafts", tab="two") == {"drafts": []}  # another tab has its own
    session.close()
    assert run_batch(job).kept == 2  # nothing was said yet
    again = Api(open_session(job))
    (found,) = got(again, "drafts", tab="three")["drafts"]
    assert (found["id"], found["page"], found["line"]["hints"], found["version"]) == (1, 1, [HINT], info["version"])
    assert got(again, "drafts", tab="three")["drafts"] == [found]  # as after a reload
    assert got(again, "drafts", tab="four") == {"drafts": []}


@pytest.mark.parametrize("content", [b"[[", b"{}", b"[1]", b'[{"input": "a.png"}]', b'[{"input": 1, "page": "x"}]'])
def test_drafts_that_are_not_valid_count_as_none(job: LocalJob, open_session: OpenSession, content: bytes) -> None:
    (job.output / STATE_FOLDER).mkdir(exist_ok=True)
    (job.output / STATE_FOLDER / "retouch-drafts.json").write_bytes(content)
    assert got(Api(open_session(job)), "drafts", tab="one") == {"drafts": []}


# --- new files ---


def test_new_files_are_found_and_can_be_saved(api: Api, job: LocalJob, session: RetouchSession) -> None:
    before = got(api, "pictures")["pictures"]
    Image.linear_gradient("L").resize((32, 24)).save(job.source / "new.png")
    (job.source / "letter.xyz").write_text("no picture")
    found = posted(api, "reload")
    assert [(each["id"], each["input"], each["status"]) for each in found["pictures"]] == [(2, "new.png", "not made")]
    assert found["left"] == ["letter.xyz: not a picture file name"]
    assert got(api, "pictures")["pictures"] == [*before, found["pictures"][0]]
    assert posted(api, "reload") == {"pictures": [], "left": []}
    assert posted(api, "save", id=2, page=1, line={"hints": [HINT]})["made"]
    session.close()
    summary = run_batch(job)
    assert (summary.coloured, summary.kept) == (0, 3)


def test_without_the_photographs_there_is_nothing_to_reload(job: LocalJob, open_session: OpenSession) -> None:
    status, error = error_of(answered(Api(open_session(job, has_source=False)), "reload"))
    assert (status, error) == (409, "this page was opened without the photographs")
