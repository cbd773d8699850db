"""Split the files of a package into bags of a maximum size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from colorbatch.errors import UsageError
from colorbatch.operations.package.contents import OUTPUTS, Contents, Holding, Member
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.records.retouch import RETOUCH_NAME
from colorbatch.text import printable


@dataclass(frozen=True)
class Share:
    """What goes into one bag."""

    holdings: Sequence[Holding]
    records: Sequence[Member]
    """The manifest with the rows of the bag, the retouch record, and in the first bag the report."""

    def members(self) -> Iterator[Member]:
        """Yield all files, those that stay away included."""
        for each in self.holdings:
            yield from _files(each)
        yield from self.records


def shares_of(contents: Contents, bag_size: int | None) -> list[Share]:
    """Return what goes into each bag: the files of a row stay together, and rows in order.

    Raises:
        UsageError: the files of a row, or the records, are larger than a bag may be.

    """
    first = [*contents.report, _record(RETOUCH_NAME, contents.record)] if contents.record else [*contents.report]
    if bag_size is None:
        return [Share(contents.holdings, [_record(MANIFEST_NAME, contents.manifest), *first])]
    shares: list[list[Holding]] = [[]]
    room = bag_size - sum(each.size for each in first)
    for each in contents.holdings:
        size = len(each.row.to_json()) + sum(member.size for member in _files(each) if not member.url)
        if size > room and shares[-1]:
            shares.append([])
            room = bag_size - len(contents.record)
        if size > room:
            raise UsageError(
                f"{printable(each.row.input)} and what goes with it are larger than a bag may be: {size:,} bytes",
                advice="Give a larger --bag-size.",
            )
        shares[-1].append(each)
        room -= size
    later = [_record(RETOUCH_NAME, contents.record)] if contents.record else []
    return [
        Share(share, [_record(MANIFEST_NAME, _rows(share)), *(later if number else first)])
        for number, share in enumerate(shares)
    ]


def _files(holding: Holding) -> Iterator[Member]:
    yield from (each for each in (holding.output, holding.source) if each is not None)


def _record(name: str, data: bytes) -> Member:
    return Member(f"{OUTPUTS}/{name}", len(data), data=data)


def _rows(holdings: Sequence[Holding]) -> bytes:
    return b"".join(each.row.to_json() for each in holdings)
