"""What is given as SOURCE or OUTPUT: a path of this machine, or the URL of a store."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union, overload
from urllib.parse import urlsplit

from typing_extensions import TypeIs

from colorbatch.errors import EnvironmentFailure, UsageError
from colorbatch.extras import needs_extra

if TYPE_CHECKING:
    from upath import UPath

Location: TypeAlias = Union[Path, "UPath"]
"""A :class:`pathlib.Path`, or a ``UPath`` of universal-pathlib for a store."""
LocationLike: TypeAlias = Union[str, "os.PathLike[str]", "UPath"]
"""What names a location: a path or a URL as text, an object that stands for a path, or a location itself."""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://", re.ASCII)
"""Scheme of a URL, of at least two characters: ``C:`` is a Windows drive."""
_SECRETS = re.compile(r"(?<=://)[^/@]*@")


@dataclass(frozen=True)
class Scheme:
    """Properties of a URL scheme."""

    package: str | None
    """The package that fsspec needs for it; ``None``: none."""
    module: str | None
    """The module of that package to import."""
    is_object_store: bool
    """Whether uploads are atomic; otherwise files are written and then renamed."""


_S3, _GS = Scheme("s3fs", "s3fs", is_object_store=True), Scheme("gcsfs", "gcsfs", is_object_store=True)
_AZ = Scheme("adlfs", "adlfs", is_object_store=True)
_SFTP = Scheme("paramiko", "paramiko", is_object_store=False)
SCHEMES = {
    "s3": _S3,
    "gs": _GS,
    "gcs": _GS,
    "az": _AZ,
    "abfs": _AZ,
    "abfss": _AZ,
    "sftp": _SFTP,
    "smb": Scheme("smbprotocol", "smbclient", is_object_store=False),
    "memory": Scheme(None, None, is_object_store=True),
}


def is_url(text: str) -> bool:
    """Return whether a text is meant as a URL."""
    return _URL.match(text) is not None


def location_of(text: str) -> Location:
    """Return the location that a text names.

    Raises:
        UsageError: it is a URL of an unknown scheme, or names no place.
        MissingExtraError: it is a URL, and the extra ``remote`` is not installed.
        EnvironmentFailure: the package for this scheme is not installed.

    """
    found = _URL.match(text)
    if found is None:
        return Path(text)
    name = found[1].lower()
    if name == "file":
        return _path_of_file_url(text)
    scheme = SCHEMES.get(name)
    if scheme is None:
        known = ", ".join(f"{each}://" for each in (*SCHEMES, "file"))
        raise UsageError(f"{without_secrets(text)}: {name}:// is unknown", advice=f"Known are {known}.")
    with needs_extra("remote"):
        from upath import UPath
    _refuse_without_package(name, scheme)
    try:
        location = UPath(name + text[len(found[1]) :])
    except (ValueError, TypeError) as error:
        raise UsageError(f"{without_secrets(text)} is not a usable URL: {error}") from error
    parts = location.path.rstrip("/").split("/")
    if not any(parts) or any(part in (".", "..") for part in parts) or "" in parts[1:]:
        raise UsageError(
            f"{without_secrets(text)} has no bucket or folder, or has '.', '..' or an empty part in its path"
        )
    return location


def is_local(location: object) -> TypeIs[Path]:
    """Return whether a location is a path on this machine, and not in a store or missing."""
    return isinstance(location, Path)


def as_location(given: LocationLike, name: str = "a location") -> Location:
    """Return the location that is given, in whatever way.

    Args:
        given: the location.
        name: that of the argument, for messages.

    Raises:
        TypeError: it is nothing that names a place.
        UsageError: it names no place.
        MissingExtraError, EnvironmentFailure: as :func:`location_of`.

    """
    if isinstance(given, Path):
        return given
    if not isinstance(given, str | os.PathLike):
        if not hasattr(given, "storage_options"):  # which a UPath of a store has
            raise TypeError(f"{name}: expected a path or a URL, found {given!r}")
        return given
    text = os.fspath(given)
    if not isinstance(text, str):
        raise TypeError(f"{name}: expected a path or a URL as text, found {text!r}")
    if not text or "\0" in text:
        raise UsageError("a path is empty or not a path")
    return location_of(text)


def as_path(given: LocationLike, name: str = "a path") -> Path:
    """Return the path on this machine that is given, in whatever way.

    Args:
        given: the path.
        name: that of the argument, for messages.

    Raises:
        TypeError: it is nothing that names a place.
        UsageError: it names no place, or one in a store.

    """
    location = as_location(given, name)
    if not is_local(location):
        raise UsageError(f"{shown(location)} is in a store: copy it to a folder first")
    return location


def folder_of_all(paths: Sequence[Path]) -> tuple[Path, frozenset[str]]:
    """Return the deepest folder that some files share, and their paths below it, POSIX style.

    Raises:
        UsageError: they are on several drives, as Windows has them.

    """
    found = [Path(os.path.realpath(path.parent), path.name) for path in paths]
    try:
        folder = Path(os.path.commonpath([path.parent for path in found]))
    except ValueError as error:
        raise UsageError(
            "the sources are on several drives", advice="Run once for each drive, with the same output."
        ) from error
    return folder, frozenset(path.relative_to(folder).as_posix() for path in found)


class LocationField:
    """A field of a dataclass that holds a location, and may be given in whatever way :func:`as_location` takes."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "LocationField": ...
    @overload
    def __get__(self, instance: object, owner: type) -> Location: ...
    def __get__(self, instance: object | None, owner: type) -> "Location | LocationField":
        if instance is None:
            raise AttributeError(self._name)  # by which a dataclass knows that the field has no default
        location: Location = vars(instance)[self._name]
        return location

    def __set__(self, instance: object, given: LocationLike) -> None:
        vars(instance)[self._name] = as_location(given, self._name)


def shown(location: Location) -> str:
    """Return a location for display and logging: without user and password."""
    return without_secrets(str(location))


def without_secrets(text: str) -> str:
    """Return a text without user and password in its URLs."""
    return _SECRETS.sub("", text)


def overlaps(one: "UPath", other: "UPath", *, is_same: bool = False) -> bool:
    """Return whether two locations are the same or one is inside the other; with ``is_same``: only the former."""
    kinds = [(SCHEMES.get(each.protocol), each.storage_options.get("host")) for each in (one, other)]
    if kinds[0] != kinds[1]:
        return False
    first, second = ([part for part in each.path.split("/") if part] for each in (one, other))
    shorter = max(len(first), len(second)) if is_same else min(len(first), len(second))
    return first[:shorter] == second[:shorter]


def _path_of_file_url(text: str) -> Path:
    """Return the path that a ``file://`` URL names.

    Raises:
        UsageError: it is on another machine.

    """
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost"):
        raise UsageError(f"{text} is a file on another machine", advice="Write file:///path, or the path alone.")
    from urllib.request import url2pathname  # importing it takes a sixth of the time of --help

    return Path(url2pathname(parts.path))


def _refuse_without_package(name: str, scheme: Scheme) -> None:
    """Raise if the package that fsspec needs is missing.

    Raises:
        EnvironmentFailure: it is missing.

    """
    from importlib import import_module

    if scheme.module is None:
        return
    try:
        import_module(scheme.module)
    except ImportError as error:
        raise EnvironmentFailure(
            f"{name}:// needs the package {scheme.package}, which is not installed",
            advice=f"Install it with: pip install 'colorbatch[remote]' {scheme.package}",
        ) from error
