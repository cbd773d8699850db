"""What is true of files and folders before and after a run, and what must be."""

import hashlib
import json
import os
import re
import stat
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageSequence

MANIFEST = "colorbatch-manifest.jsonl"
STATE = ".colorbatch"
Row = dict[str, Any]
Facts = tuple[object, ...]
"""Of a file or folder: type, mode, size, time of the last change, and content."""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    stdout: bytes
    stderr: bytes
    seconds: float
    rows: Mapping[str, Row] = field(default_factory=dict)
    """Of the manifest that a run closed, by their inputs."""

    @property
    def statuses(self) -> Mapping[str, str]:
        return {name: row["status"] for name, row in self.rows.items()}


def rows_of(manifest: Path) -> dict[str, Row]:
    """Return the rows of a manifest by their inputs; each line must be one, and each source must have one only."""
    if not manifest.is_file():
        return {}
    rows = [json.loads(line) for line in manifest.read_bytes().splitlines()]
    twice = [name for name, times in Counter(row["input"] for row in rows).items() if times > 1]
    assert not twice, f"several rows for {twice}"
    return {row["input"]: row for row in rows}


def decoded(path: Path) -> list[Any]:
    """Return the levels of every frame of a picture, or raise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        head = path.read_bytes()[:25]
        if head[:2] in (b"II", b"MM"):
            with tifffile.TiffFile(path) as file:
                return [page.asarray() for page in file.pages]
        if head[4:8] == b"jP  ":
            return [imagecodecs.jpeg2k_decode(path.read_bytes())]
        if head[1:4] == b"PNG" and head[24] == 16:  # which Pillow would cut down to 8 bits
            return [imagecodecs.png_decode(path.read_bytes())]
        with Image.open(path) as image:
            frames = ImageSequence.Iterator(image)
            return [np.asarray(frame.convert("RGB") if frame.mode == "P" else frame) for frame in frames]


def files(folder: Path) -> list[str]:
    """Return the paths of all files that are no business of colorbatch's own."""
    return [
        path.relative_to(folder).as_posix()
        for path in entries(folder)
        if not path.is_dir() and path.name != MANIFEST and not path.name.endswith(".tmp") and STATE not in path.parts
    ]


def entries(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            yield Path(parent, name)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def snapshot(root: Path, leaving_out: Collection[Path], altered: Collection[Path] = ()) -> dict[str, Facts]:
    """Return the facts of everything below a folder, but for some folders, and the times of those that hold them."""
    holding = {above for each in (*leaving_out, *altered) for above in each.parents}
    found: dict[str, Facts] = {}
    for parent, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(parent, name)
            if path not in leaving_out and path not in altered:
                found[str(path.relative_to(root))] = facts(path, is_changing=path in holding)
        folders[:] = [name for name in folders if Path(parent, name) not in leaving_out]
    return found


def facts(path: Path, *, is_changing: bool = False) -> Facts:
    found = path.lstat()
    kind, mode = stat.S_IFMT(found.st_mode), stat.S_IMODE(found.st_mode)
    if is_changing:
        return kind, mode
    if stat.S_ISLNK(found.st_mode):
        return kind, mode, os.readlink(path)  # noqa: PTH115 (as it is written)
    content = sha256(path) if stat.S_ISREG(found.st_mode) and found.st_size else ""
    return kind, mode, found.st_size, found.st_mtime_ns, content


def facts_of(folder: Path, names: Collection[str]) -> Mapping[str, Facts]:
    return {name: facts(folder / name, is_changing=(folder / name).is_dir()) for name in names}


def differences(before: Mapping[str, Facts], after: Mapping[str, Facts], where: str) -> list[str]:
    return [
        f"{where}, {name!r} was {before.get(name, 'not there')}, and is {after.get(name, 'gone')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def broken_files(folder: Path, foreign: Collection[str], *, are_temporary_allowed: bool) -> Iterator[str]:
    """Yield what is wrong with files in OUT, whoever says that they are outputs."""
    if not folder.is_dir():
        return
    for path in entries(folder):
        if path.name.endswith(".tmp") and not are_temporary_allowed:
            yield f"a temporary name was left: {path}"
    for name in files(folder):
        if name not in foreign and not (folder / name).is_symlink():
            try:
                decoded(folder / name)
            except Exception as error:  # noqa: BLE001 (decoders raise whatever they like)
                yield f"the output {name!r} does not decode: {error}"


def unfinished(folder: Path, ended: Ended, foreign: Collection[str]) -> Iterator[str]:
    """Yield where manifest, exit code and outputs of a run that came to an end disagree."""
    failed = [name for name, row in ended.rows.items() if row["status"] == "failed"]
    if (ended.code == 0 and failed) or (ended.code == 1 and not failed):
        yield f"exit code {ended.code}, and these failed: {failed}"
    if (folder / STATE).exists() and STATE not in foreign:
        yield "the state of a run that is over was left"
    bugs = [row["reason"] for row in ended.rows.values() if "a bug in" in row["reason"]]
    if bugs:
        yield f"bugs: {bugs}"
    named = {os.fsdecode(os.fsencode(row["output"])): row for row in ended.rows.values() if row["output"]}
    strangers = set(files(folder)) - {*named, *foreign}
    if strangers:
        yield f"no row names {sorted(strangers)}"
    for name, row in named.items():
        path = folder / name
        if row["status"] != "done" or name in foreign:
            continue
        if not path.is_file():
            yield f"the output {name!r} is not there"
        elif not re.fullmatch(r"(\.[a-z0-9]{2,4})*", name.removeprefix(row["input"])) and len(Path(name).name) < 200:
            yield f"the output {name!r} is not named as its source {row['input']!r}"
        elif sha256(path) != row["output_sha256"]:
            yield f"the output {name!r} is not the one of its row"
        elif row["digital_source_type"] and row["digital_source_type"].encode() not in path.read_bytes():
            yield f"the output {name!r} does not say how its colours were made"


def unaccounted(source: Path, rows: Mapping[str, Row], gone: Collection[str]) -> Iterator[str]:
    """Yield the entries of the source that are not named once: by themselves, or with a folder that was left out."""
    if source.is_dir():
        paths = [path for path in entries(source) if path.is_symlink() or not path.is_dir()]
        names = {path.relative_to(source).as_posix() for path in paths}
    else:
        names = {source.name}
    for name in sorted(names - {*gone}):
        by = [row for row in (name, *map(str, Path(name).parents)) if row in rows]
        if len(by) != 1:
            yield f"the source {name!r} is named by {by}"
    for name in sorted(set(rows) - names - {*gone}):
        if not (source / name).is_dir():
            yield f"the manifest names {name!r}, which was never there"
