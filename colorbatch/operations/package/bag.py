"""The tag files of a BagIt bag, RFC 8493.

``make_bag`` of the package bagit (1.9) is not used: it moves the files of a folder into a bag in its place, and hashes
what it finds there. It knows no hard links, object stores, zip files, ``fetch.txt``, split bags, or version 1.0 of the
format, and what it was killed in cannot be continued. Its ``Bag.validate`` checks in the tests what is written here.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from colorbatch.operations.package.contents import Member
from colorbatch.operations.package.delivery import Delivered, Sink
from colorbatch.operations.package.names import encoded
from colorbatch.version import __version__

PAYLOAD = "data/"
DECLARATION = "bagit.txt"
_DECLARED = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Group:
    """The bags that a package was split into."""

    identifier: str
    number: int
    """Of this bag, from 1."""
    count: int


def write_tag_files(
    sink: Sink,
    delivered: Sequence[Delivered],
    absent: Sequence[Member],
    described: Sequence[Delivered],
    info: Sequence[tuple[str, str]],
    algorithms: Sequence[str],
    group: Group | None,
) -> None:
    """Write all that makes a bag of a folder ``data``; the declaration comes last, and without it there is no bag.

    Args:
        sink: the bag.
        delivered: the files in ``data``, whose paths begin with it.
        absent: the files that stay away.
        described: tag files that are in the bag already.
        info: labels and values that were given for ``bag-info.txt``.
        algorithms: the names of the hashes, sha256 first.
        group: of the bag; ``None``: it is the only one.

    Raises:
        UsageError: there are files that are not of this bag.
        OutputUnwritableError, StoreUnavailableError: the bag cannot be written.

    """
    hashes = {each.path: each.digests for each in delivered}
    hashes |= {PAYLOAD + each.path: (str(each.sha256),) for each in absent}
    tags = [*described]
    for number, name in enumerate(algorithms):
        tags.append(sink.write(f"manifest-{name}.txt", [_manifest(hashes, number)]))
    if absent:
        tags.append(sink.write("fetch.txt", [_fetch(absent)]))
    size = sum(each.size for each in delivered) + sum(each.size for each in absent)
    tags.append(sink.write("bag-info.txt", [_info(info, size, len(hashes), group)]))
    declaration = Delivered(
        DECLARATION, len(_DECLARED), tuple(hashlib.new(name, _DECLARED).hexdigest() for name in algorithms)
    )
    tag_hashes = {each.path: each.digests for each in (*tags, declaration)}
    for number, name in enumerate(algorithms):
        sink.write(f"tagmanifest-{name}.txt", [_manifest(tag_hashes, number)])
    sink.refuse_strangers()
    sink.write(DECLARATION, [_DECLARED])


def _manifest(hashes: Mapping[str, tuple[str, ...]], number: int) -> bytes:
    """Return a manifest, sorted by path (section 2.1.3)."""
    return "".join(f"{hashes[path][number]}  {encoded(path)}\n" for path in sorted(hashes)).encode()


def _fetch(absent: Sequence[Member]) -> bytes:
    """Return ``fetch.txt`` (section 2.2.3)."""
    return "".join(f"{each.url} {each.size} {encoded(PAYLOAD + each.path)}\n" for each in absent).encode()


def _info(info: Sequence[tuple[str, str]], size: int, count: int, group: Group | None) -> bytes:
    """Return ``bag-info.txt`` (section 2.2.2)."""
    given = {label.title() for label, _ in info}
    own = {
        "Bagging-Date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        "Bag-Software-Agent": f"colorbatch {__version__}",
        "Payload-Oxum": f"{size}.{count}",
        "Bag-Size": _shown(size),
    }
    if group is not None:
        own |= {"Bag-Group-Identifier": group.identifier, "Bag-Count": f"{group.number} of {group.count}"}
    lines = [*info, *((label, value) for label, value in own.items() if label not in given)]
    return "".join(f"{label}: {value}\n" for label, value in lines).encode()


def _shown(size: int) -> str:
    """Return a number of bytes for people, such as ``260 GB``."""
    number, unit = float(size), _UNITS[0]
    for unit in _UNITS:
        if number < 1000 or unit == _UNITS[-1]:
            break
        number /= 1000
    return f"{number:.3g} {unit}"
