"""Manifests, names and metadata that somebody made up lead no command out of its folders, and no page runs them."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from gauntlet.arena import Arena, mounted, remounted
from gauntlet.facts import MANIFEST, STATE, decoded
from PIL import Image

Row = dict[str, Any]
OUTSIDE = (
    *("../elsewhere/secret.png", "../../elsewhere/secret.png", "/etc/passwd", "..", ".", "", "/", "//x", "./../x.png"),
    *("a/../../elsewhere/secret.png", "x\0.png", "\\..\\x.png", "C:\\x.png", "a" * 5000, "\ud800.png", "../out/a.png"),
)
COMMANDS: Mapping[str, Callable[[Arena], tuple[object, ...]]] = {
    "run": lambda arena: ("run", "--model", arena.model, arena.source, arena.output),
    "audit": lambda arena: ("audit", arena.output, "--source", arena.source),
    "report": lambda arena: ("report", arena.output, "--source", arena.source),
    "restore": lambda arena: ("restore", arena.output, arena.root / "place" / "restored"),
    "merge": lambda arena: ("merge", arena.output),
    "package": lambda arena: ("package", arena.output, arena.root / "place" / "restored", "--bagit"),
}


def row_of(arena: Arena, **changes: Any) -> Row:  # noqa: ANN401 (any field)
    """Return the row of the first picture, changed."""
    row: Row = json.loads((arena.output / MANIFEST).read_bytes().splitlines()[0])
    return row | changes


def written(path: Path, rows: Sequence[object]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", [MANIFEST, f"{STATE}/journal.jsonl", f"{STATE}/shard-1-of-1.jsonl"])
def test_a_row_that_names_a_file_elsewhere_leads_nobody_there(arena: Arena, place: str, command: str) -> None:
    arena.fill_and_run(6)
    secret = hashlib.sha256((arena.elsewhere / "secret.png").read_bytes()).hexdigest()
    rows: list[object] = []
    for name in OUTSIDE:
        rows += [
            row_of(arena, output=name, output_sha256=secret),
            row_of(arena, input=name, output_sha256=secret, input_sha256=secret),
            row_of(arena, input=name, output=name, output_sha256=None),
            {"announced": name, "output_sha256": secret},
        ]
    written(arena.output / place, rows)
    arena.command(*COMMANDS[command](arena), codes={0, 1}, writes=(arena.output, arena.root / "place" / "restored"))
    assert all(b"elsewhere/secret" not in path.read_bytes() for path in arena.output.rglob("*.html"))
    assert not list((arena.root / "place").glob("restored/**/*passwd*"))


@pytest.mark.parametrize("command", ["audit", "report", "restore"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_among_the_outputs_shows_nothing_of_what_it_leads_to(arena: Arena, kind: str, command: str) -> None:
    arena.fill_and_run(6)
    secret = arena.elsewhere / "secret.jpg"
    Image.new("L", (40, 30), 200).save(secret)
    sha256 = hashlib.sha256(secret.read_bytes()).hexdigest()
    if kind == "file":
        (arena.output / "secret.jpg").symlink_to(secret)
        name = "secret.jpg"
    else:
        (arena.output / "door").symlink_to(arena.elsewhere)
        name = "door/secret.jpg"
    written(arena.output / MANIFEST, [row_of(arena, input=name, output=name, output_sha256=sha256, input_sha256=None)])
    restored = arena.root / "place" / "restored"
    ended = arena.command(*COMMANDS[command](arena), codes={0, 1}, writes=(arena.output, restored))
    assert not restored.exists()
    previews = [path for path in arena.output.rglob("*.webp") if "colorbatch-report" in path.parts]
    assert not previews, "a picture of what lies elsewhere"
    assert command != "audit" or ended.code == 1


STRANGE: dict[str, object] = {
    "numbers": {"width": 2**62, "height": 2**62, "seconds": 1e308, "input_bytes": 2**62, "frames": 10**18, "bits": 0},
    "negative": {"width": -1},
    "not a number": {"seconds": float("nan")},
    "times": {"input_modified": -1e300, "is_input_trusted": "yes"},
    "texts": {"reason": "x" * 10**6, "model": "\x1b[2J", "finished_at": "</script>", "provider": "\u202e"},
    "lists": {"warnings": ["w"] * 10**5},
    "types": {"status": ["done"], "output": {"a": 1}},
    "surrogates": {"reason": "\udc80\ud800", "warnings": ["\udfff"]},
    "status": {"status": "perfect"},
    "schema": {"schema": 2},
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", [*STRANGE, "deep", "long", "binary", "empty", "array", "twice", "unended"])
def test_a_manifest_of_nonsense_is_borne(arena: Arena, kind: str, command: str) -> None:
    arena.fill_and_run(4)
    path = arena.output / MANIFEST
    made_up: dict[str, Callable[[], bytes]] = {
        "deep": lambda: b'{"schema": 1, "input": ' + b"[" * 200_000,
        "long": lambda: json.dumps(row_of(arena, reason="r" * 20_000_000)).encode(),
        "binary": lambda: os.urandom(100_000),
        "empty": lambda: b"",
        "array": lambda: json.dumps([row_of(arena)]).encode(),
        "twice": lambda: path.read_bytes() * 3,
        "unended": lambda: path.read_bytes()[:-30],
    }
    if kind in made_up:
        path.write_bytes(made_up[kind]())
    else:
        changes: Any = STRANGE[kind]
        written(path, [row_of(arena, **changes), row_of(arena, **{**changes, "input": "made-up.png"})])
    places = (arena.output, arena.root / "place" / "restored")
    arena.command(*COMMANDS[command](arena), codes={0, 1}, writes=places)


HOSTILE = (
    *(
        "<script>alert(1)<",
        "'\"><img src=x onerror=alert(1)>",
        "<!--",
        "]]>",
        "{{7*7}}",
        "{% raw %}",
        "\u2028",
        "</title>",
    ),
    *("javascript:alert(1)", "&lt;b&gt;", "%3Cscript%3E", "\u202egnp", "</script><script>alert(1)<", "</title>"),
)


class Skeleton(HTMLParser):
    """Takes down the tags of a page and the names of their attributes, and what scripts say."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def skeleton_of(arena: Arena) -> Skeleton:
    page = arena.output / "colorbatch-report" / "index.html"
    found = Skeleton()
    found.feed(page.read_text(encoding="utf-8"))
    return found


def test_hostile_names_and_metadata_are_text_in_the_report(tmp_path: Path, kept: Path) -> None:
    """The page has the same tags as one over harmless names."""
    skeletons = []
    for kind in ("harmless", "hostile"):
        arena = Arena(tmp_path / kind, kept)
        for number, text in enumerate(HOSTILE):
            name = text.replace("/", "\u2044") if kind == "hostile" else f"name{number:02}"
            exif = Image.Exif()
            for tag in (0x010E, 0x013B, 0x8298, 0x0131):
                exif[tag] = text if kind == "hostile" else "text"
            path = arena.add(f"{number:02}{name}.png", seed=number)
            with Image.open(path) as image:
                image.save(path, exif=exif)
        arena.add("zz.png").write_bytes(b"<script>" if kind == "hostile" else b"text")
        arena.run(codes={1})
        arena.command("report", arena.output, "--source", arena.source, codes={0}, writes=(arena.output,))
        skeletons.append(skeleton_of(arena))
    assert skeletons[0].tags == skeletons[1].tags
    assert len(skeletons[0].tags) > 20
    assert not any(text.strip().startswith("alert(") for text in skeletons[1].texts)


def test_hostile_rows_are_text_in_the_report_and_in_json(arena: Arena) -> None:
    arena.fill_and_run(3)
    harmless = [row_of(arena, input=f"{n}.png", output=None, status="failed", reason="r") for n in range(len(HOSTILE))]
    pages = []
    for texts in (["text"] * len(HOSTILE), HOSTILE):
        fields = ("reason", "model", "provider", "version", "finished_at", "digital_source_type", "model_sha256")
        rows = [
            row | dict.fromkeys(fields, text) | {"warnings": [text]} for row, text in zip(harmless, texts, strict=True)
        ]
        written(arena.output / MANIFEST, rows)
        arena.command("report", arena.output, codes={0}, writes=(arena.output,))
        pages.append(skeleton_of(arena))
    assert set(pages[0].tags) == set(pages[1].tags)
    assert [tag for tag in pages[0].tags if tag[0] == "script"] == [tag for tag in pages[1].tags if tag[0] == "script"]
    ended = arena.command("audit", "--json", arena.output, codes={1}, writes=(arena.output,))
    assert json.loads(ended.stdout)["rows"] == len(HOSTILE)


def links_of_a_report(arena: Arena) -> dict[str, Path]:
    """Return links that somebody may have put where a report writes, and where they lead to."""
    folder = arena.output / "colorbatch-report"
    one = next(folder.glob("previews/*/*-before.webp")).relative_to(folder)
    return {
        "whole": Path(),
        "previews": Path("previews"),
        "part of the previews": one.parent,
        "a preview": one,
        "index": Path("index.html"),
        "marker": Path("colorbatch-report.json"),
        "index of previews": Path("previews.json"),
    }


@pytest.mark.parametrize(
    "kind", ["whole", "previews", "part of the previews", "a preview", "index", "marker", "index of previews"]
)
@pytest.mark.parametrize("again", ["report", "run --report"])
def test_a_report_is_not_written_through_links(arena: Arena, kind: str, again: str) -> None:
    arena.fill_and_run(4)
    arena.command("report", arena.output, "--source", arena.source, codes={0}, writes=(arena.output,))
    link = arena.output / "colorbatch-report" / links_of_a_report(arena)[kind]
    if link.is_dir():
        shutil.rmtree(link)
        target = arena.elsewhere / "theirs"
        target.mkdir()
        (target / "colorbatch-report.json").write_bytes(b'{"colorbatch-report": 1}')
    else:
        link.unlink()
        target = arena.elsewhere / "precious.txt"
    link.symlink_to(target)
    arena.add("000.png", seed=1000)  # so that it has to be written anew
    if again == "report":
        arguments: tuple[object, ...] = ("report", arena.output, "--source", arena.source)
    else:
        arguments = ("run", "--report", "--model", arena.model, arena.source, arena.output)
    arena.command(*arguments, codes={0, 1, 2, 4}, writes=(arena.output,))


def test_a_report_that_is_killed_is_written_by_the_next_one(arena: Arena) -> None:
    arena.fill_and_run(40, side=300)
    folder, outputs = arena.output / "colorbatch-report", arena.outputs()
    report = ("report", arena.output, "--source", arena.source)

    def kill(process: "subprocess.Popen[bytes]") -> None:
        while len(list(folder.glob("previews/*/*.webp"))) < 10 and process.poll() is None:
            time.sleep(0.002)
        process.kill()

    ended = arena.command(*report, codes={0}, writes=(arena.output,), during=kill, is_killed=True)
    assert ended.code == -signal.SIGKILL
    arena.command(*report, codes={0}, writes=(arena.output,))
    assert not list(arena.output.rglob("*.tmp"))
    assert len(list(folder.glob("previews/*/*-before.webp"))) == 40
    for path in folder.glob("previews/*/*.webp"):
        assert decoded(path)
    assert {name: sha256 for name, sha256 in arena.outputs().items() if name in outputs} == outputs
    arena.command("audit", arena.output, "--source", arena.source, codes={0})


@pytest.mark.parametrize("kilobytes", [8, 40])
def test_a_full_disk_ends_a_report_and_leaves_the_outputs(arena: Arena, kilobytes: int) -> None:
    arena.fill_and_run(20, side=200)
    report = ("report", arena.output, "--source", arena.source)
    with mounted(arena.output / "colorbatch-report", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=755", "tmpfs"):
        ended = arena.command(*report, codes={4}, writes=(arena.output,))
        assert b"No space left" in ended.stderr
        remounted(arena.output / "colorbatch-report", "size=50m")
        arena.command(*report, codes={0}, writes=(arena.output,))
    arena.command("audit", arena.output, "--source", arena.source, codes={0})


@pytest.mark.parametrize("kind", ["itself", "above", "below", "a link to it", "a folder that leads out"])
def test_grey_pictures_are_given_back_to_no_other_place(arena: Arena, kind: str) -> None:
    for number in range(3):
        arena.add(f"1/{number}.jpg", seed=number)
    arena.run(codes={0})
    place = arena.root / "place" / "restored"
    match kind:
        case "itself":
            place = arena.output
        case "above":
            place = arena.output.parent
        case "below":
            place = arena.output / "1"
        case "a link to it":
            place.symlink_to(arena.output)
        case _:
            place.mkdir()
            (place / "1").symlink_to(arena.elsewhere)
    leads_out = kind == "a folder that leads out"
    ended = arena.command("restore", arena.output, place, codes={0 if leads_out else 2})
    assert (b"0 restored, 3 not restored" in ended.stderr) == leads_out


def test_a_shard_s_record_that_claims_everything_is_merged_and_found_out(arena: Arena) -> None:
    """Whatever it says, no output is taken for one that is not there."""
    arena.fill_and_run(6)
    rows: list[object] = [row_of(arena, input=f"made-up-{number}.png", output="none.png") for number in range(3)]
    written(arena.output / STATE / "shard-1-of-2.jsonl", rows)
    written(arena.output / STATE / "shard-2-of-2.jsonl", [*rows, {"input": "../x"}, [], None, 5])
    arena.command("merge", arena.output, codes={0, 1}, writes=(arena.output,))
    arena.command("audit", arena.output, codes={1})
    arena.run(codes={0})
