"""XMP sidecars beside the sources: which belong to which picture, what they hold, and what it becomes."""

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from colorbatch.errors import reason_of
from colorbatch.formats.kinds import KINDS
from colorbatch.formats.sidecar import MAX_SIDECAR_BYTES, extension_meant, merged
from colorbatch.pixels.picture import Picture
from colorbatch.store.store import Store

SIDECAR_EXTENSION = ".xmp"
_RAW = KINDS["RAW"].extensions
"""Extensions of raw files: programs keep what they say of these in sidecars, of other kinds in the files."""


@dataclass(frozen=True)
class Sidecar:
    """An XMP file whose name says that it is for a picture."""

    key: str
    """Name by which it is read from the store of the source."""
    name: str
    """Path below the source, POSIX style."""
    rivals: tuple[str, ...] = ()
    """Other pictures that it could be for: it is named ``photo.xmp``, and there are ``photo.jpg`` and ``photo.tif``."""
    etag: str | None = None
    content: bytes | None = None
    """``None``: not read yet, or it cannot be used."""
    problem: str = ""
    """Why it cannot be used; empty if it can, or is not read yet."""


@dataclass(frozen=True)
class File:
    """A file that may be a picture or a sidecar."""

    key: str
    name: str
    etag: str | None = None


def sidecars_of(pictures: Iterable[str], files: Iterable[File]) -> Mapping[str, tuple[Sidecar, ...]]:
    """Return the sidecars of each picture that has any, the more exactly named first.

    ``photo.jpg.xmp`` is for ``photo.jpg``; ``photo.xmp`` is for every picture of that name, whatever its extension,
    which its content may narrow down. Where no name is the same, upper and lower case and the composition of letters
    do not count.

    Args:
        pictures: names of the pictures.
        files: the sidecars.

    """
    whole, stems = _Index(), _Index()
    for picture in pictures:
        whole.add(picture, picture)
        stems.add(str(PurePosixPath(picture).with_suffix("")), picture)
    found: dict[str, list[Sidecar]] = defaultdict(list)
    for each in sorted(files, key=lambda file: (-len(file.name), file.name)):
        base = each.name[: -len(SIDECAR_EXTENSION)]
        meant = whole.get(base) or stems.get(base)
        for picture in meant:
            rivals = tuple(other for other in meant if other != picture)
            found[picture].append(Sidecar(each.key, each.name, rivals, each.etag))
    return {picture: tuple(sidecars) for picture, sidecars in found.items()}


class _Index:
    """Names of pictures by what a sidecar may call them."""

    def __init__(self) -> None:
        self._alike: dict[str, list[tuple[str, str]]] = defaultdict(list)

    def add(self, called: str, picture: str) -> None:
        self._alike[_folded(called)].append((called, picture))

    def get(self, called: str) -> Sequence[str]:
        """Return the pictures called exactly that, else those called nearly that."""
        alike = self._alike.get(_folded(called), [])
        return [picture for name, picture in alike if name == called] or [picture for _, picture in alike]


def name_of_copy(output: str) -> str:
    """Return the name that the copy of a sidecar has beside an output."""
    return output + SIDECAR_EXTENSION


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def read_sidecars(picture: str, sidecars: Sequence[Sidecar], store: Store) -> tuple[Sidecar, ...]:
    """Return the sidecars that are for a picture, each with its content or why it cannot be used.

    Raises:
        StoreUnavailableError: the store does not respond any more.

    """
    return tuple(read for each in sidecars if (read := _read(picture, each, store)) is not None)


def _read(picture: str, sidecar: Sidecar, store: Store) -> Sidecar | None:
    """Return a sidecar with its content; ``None``: it is for another picture."""
    try:
        content = store.start_beside(sidecar.key, MAX_SIDECAR_BYTES + 1)
    except OSError as error:
        store.refuse_lost()
        return replace(sidecar, problem=f"cannot read it: {reason_of(error)}")
    if len(content) > MAX_SIDECAR_BYTES:
        return replace(sidecar, problem=f"it is larger than {MAX_SIDECAR_BYTES // 2**20} MiB")
    meant = "" if _is_whole_name(sidecar, picture) else extension_meant(content)
    extensions = [_extension(each) for each in (picture, *sidecar.rivals)]
    if meant not in ("", *extensions):
        return replace(sidecar, problem=f"it says that it is for {meant}")
    likely = [each for each in extensions if each == meant or (not meant and each in _RAW)] or extensions
    if extensions[0] not in likely:
        return None
    return replace(sidecar, content=content) if len(likely) == 1 else replace(sidecar, problem=_doubt(picture, sidecar))


def _doubt(picture: str, sidecar: Sidecar) -> str:
    others = ", ".join(PurePosixPath(each).name for each in sidecar.rivals)
    return f"it could be for {others} too; name it {PurePosixPath(picture).name}.xmp to say that it is for this one"


def _is_whole_name(sidecar: Sidecar, picture: str) -> bool:
    return _folded(sidecar.name) == _folded(picture + SIDECAR_EXTENSION)


def _extension(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def fingerprint(read: Sequence[Sidecar]) -> str | None:
    """Return a hash of what sidecars hold and of why some cannot be used; ``None``: there are none."""
    if not read:
        return None
    lines = (f"{hashlib.sha256(each.content or b'').hexdigest()} {each.problem}" for each in read)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def fingerprint_of_etags(sidecars: Sequence[Sidecar]) -> str | None:
    """Return a hash of the ETags of sidecars that need not be read for it; ``None``: the store has none."""
    if not sidecars or any(each.etag is None for each in sidecars):
        return None
    lines = ("\n".join((each.name, str(each.etag), *each.rivals)) for each in sidecars)
    return hashlib.sha256("\n\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def unusable(read: Sequence[Sidecar]) -> list[str]:
    """Return a warning for each sidecar that cannot be used."""
    return [f"{_shown(each)} was not used: {each.problem}" for each in read if each.problem]


def usable(read: Sequence[Sidecar]) -> list[tuple[Sidecar, bytes]]:
    """Return the sidecars that can be used, with their contents."""
    return [(each, each.content) for each in read if each.content is not None]


def with_sidecars(picture: Picture, read: Sequence[Sidecar]) -> tuple[Picture, tuple[str, ...]]:
    """Return a picture with what its sidecars say more than its own XMP, and the names of those that say more.

    In a file of several pages, the first one gets it, which is where other programs look for it.
    """
    used, warnings = [], list(picture.warnings)
    packet = picture.first.metadata.xmp
    for sidecar, content in usable(read):
        try:
            merged(b"", content)
        except ValueError as error:
            warnings.append(f"{_shown(sidecar)} was not used: it is no XMP: {error}")
            continue
        try:
            packet, is_used = merged(packet, content)
        except ValueError as error:
            warnings.append(f"damaged XMP was dropped: {error}")
            packet, is_used = merged(b"", content)
        if is_used:
            used.append(sidecar.name)
    first = replace(picture.first, metadata=replace(picture.first.metadata, xmp=packet))
    return replace(picture, frames=(first, *picture.frames[1:]), warnings=tuple(warnings)), tuple(used)


def _shown(sidecar: Sidecar) -> str:
    return f"the sidecar {PurePosixPath(sidecar.name).name}"
