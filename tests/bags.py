"""What tests of bags share."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import bagit

OUTPUTS = {"a.jpg": b"one", "sub/b.jpg": b"two two", "sub/c.png": b"three"}


def is_valid(folder: Path) -> bool:
    """Return what bagit.py says of a bag; it raises for a folder that is none."""
    result: bool = bagit.Bag(str(folder)).validate()
    return result


def tags(folder: Path) -> dict[str, str]:
    lines = (folder / "bag-info.txt").read_text("utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines)


def manifest(folder: Path, name: str = "manifest-sha256.txt") -> dict[str, str]:
    """Return the hashes of a manifest by path, decoded as RFC 8493 says, by a reader of our own."""
    found = {}
    for line in (folder / name).read_bytes().decode().split("\n")[:-1]:
        digest, path = line.split("  ", 1)
        found[path.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")] = digest
    return found


def is_as_stated(folder: Path) -> bool:
    """Return whether a bag has exactly the files of its manifest."""
    files = {path.relative_to(folder).as_posix() for path in (folder / "data").rglob("*") if path.is_file()}
    stated = manifest(folder)
    return files == set(stated) and all(
        hashlib.sha256((folder / path).read_bytes()).hexdigest() == digest for path, digest in stated.items()
    )


def everything(folder: Path) -> dict[Path, tuple[int, int, int]]:
    found = {path: path.stat() for path in folder.rglob("*")}
    return {path: (each.st_mode, each.st_mtime_ns, each.st_size) for path, each in found.items()}


def bags_below(folder: Path) -> Sequence[Path]:
    return sorted(folder.iterdir())
