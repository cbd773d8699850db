"""Split the files of a package into bags of a maximum size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from colorbatch.errors import UsageError
from colorbatch.operations.package.contents import OUTPUTS, Contents, Holding, Member
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.records.retouch import RETOUCH_NAME
from colorbatch.run.plan import A_SIDECAR
from colorbatch.run.sidecars import File, sidecars_of
from colorbatch.text import printable


@dataclass(frozen=True)
class Share:
    """What goes into one bag."""

    holdings: Sequence[Holding]
    records: Sequence[Member]
    """The manifest with the rows of the bag, the retouch record, and in the first bag the report."""

    def members(self) -> Iterator[Member]:
        """Yield all files, those that stay away included."""
        files: dict[str, Member] = {}
        for member in (member for each in self.holdings for member in each.members):
            if member.path not in files or member.sha256 is not None:
                files[member.path] = member
        yield from files.values()
        yield from self.records


def shares_of(contents: Contents, bag_size: int | None) -> list[Share]:
    """Return what goes into each bag: the files of a picture and of its sidecars stay together, and rows in order.

    Raises:
        UsageError: the files of a picture, or the records, are larger than a bag may be.

    """
    first = [*contents.report, _record(RETOUCH_NAME, contents.record)] if contents.record else [*contents.report]
    if bag_size is None:
        return [Share(contents.holdings, [_record(MANIFEST_NAME, contents.manifest), *first])]
    shares: list[list[Holding]] = [[]]
    room = bag_size - sum(each.size for each in first)
    for together in _together(contents.holdings):
        files = {member.path: member.size for each in together for member in each.members if not member.url}
        size = sum(len(each.row.to_json()) for each in together) + sum(files.values())
        if size > room and shares[-1]:
            shares.append([])
            room = bag_size - len(contents.record)
        if size > room:
            raise UsageError(
                f"{printable(together[0].row.input)} and what goes with it are larger than a bag may be: "
                f"{size:,} bytes",
                advice="Give a larger --bag-size.",
            )
        shares[-1] += together
        room -= size
    later = [_record(RETOUCH_NAME, contents.record)] if contents.record else []
    ordered = [sorted(share, key=lambda each: each.row.input) for share in shares]
    return [
        Share(share, [_record(MANIFEST_NAME, _rows(share)), *(later if number else first)])
        for number, share in enumerate(ordered)
    ]


def _together(holdings: Sequence[Holding]) -> Iterator[Sequence[Holding]]:
    """Yield each picture with the rows of its sidecars, which the audit of a bag finds among its scans."""
    rows = {each.row.input: each.row for each in holdings}
    pictures = [name for name, row in rows.items() if row.reason != A_SIDECAR]
    beside = sidecars_of(pictures, [File(name, name, None) for name, row in rows.items() if row.reason == A_SIDECAR])
    first: dict[str, str] = {}
    for picture, sidecars in beside.items():
        for sidecar in sidecars:
            first.setdefault(sidecar.name, picture)
    first |= {name: row.input for row in rows.values() for name in row.sidecars if name in rows}
    found: dict[str, list[Holding]] = {}
    for each in holdings:
        found.setdefault(first.get(each.row.input, each.row.input), []).append(each)
    yield from found.values()


def _record(name: str, data: bytes) -> Member:
    return Member(f"{OUTPUTS}/{name}", len(data), data=data)


def _rows(holdings: Sequence[Holding]) -> bytes:
    return b"".join(each.row.to_json() for each in holdings)
