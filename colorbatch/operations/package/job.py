"""What one package is asked to be, and its outcome."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from colorbatch.errors import UsageError
from colorbatch.location import LocationField, LocationLike
from colorbatch.operations.audit import Finding

Form = Literal["bagit", "zip", "plain"]
"""``plain``: a folder with nothing but descriptions, such as PREMIS."""
PremisUnit = Literal["job", "picture"]

OWN_LABELS = ("Bag-Count", "Bag-Size", "Bag-Software-Agent", "Payload-Oxum")
"""Labels of ``bag-info.txt`` that cannot be given."""
_LABEL = re.compile(r"[^\s:](?:[^:\r\n]*[^\s:])?")


@dataclass(frozen=True)
class PackageJob:
    """A package of one output folder."""

    folder: LocationField = LocationField()  # noqa: RUF009 (a descriptor)
    """The output folder: a path or the URL of a store."""
    destination: LocationField = LocationField()  # noqa: RUF009 (a descriptor)
    """The folder or zip file to write, likewise."""
    form: Form = "bagit"
    sources: LocationLike | None = None
    """Folder of the scans, which are put beside the outputs; ``None``: they are not."""
    sources_url: str | None = None
    """Address below which the scans that stay away can be fetched; ``None``: they are not listed."""
    retouch: Path | None = None
    """File of the retouch record of the run; ``None``: that in the output folder."""
    ignore_retouch: bool = False
    """Whether the run was made without one."""
    with_report: bool = False
    """Include the report of the folder."""
    bag_size: int | None = None
    """Maximum number of bytes of payload in a bag; ``None``: one bag holds all."""
    bag_info: Sequence[tuple[str, str]] = ()
    """Labels and values for ``bag-info.txt``, in order."""
    link: bool = False
    """Make hard links instead of copies where the file system can."""
    sha512: bool = False
    """Write SHA-512 checksums beside those of SHA-256."""
    premis: PremisUnit | None = None
    """Describe the provenance in PREMIS 3: one file for all, or one for each picture."""
    retouched_by: str | None = None
    """Name of the person who gave the hints, for PREMIS; ``None``: not told."""
    iiif: str | None = None
    """Address at which the package will be published, for IIIF; ``None``: no IIIF."""
    iiif_tiles: bool = False
    """Write the pictures as tiles, too, which viewers read without an image server."""

    def __post_init__(self) -> None:
        """Check what cannot be asked for.

        Raises:
            UsageError: a word is unknown, or two options contradict each other.

        """
        if self.form not in get_args(Form) or self.premis not in (None, *get_args(PremisUnit)):
            raise UsageError(f"{self.form!r} or {self.premis!r} is not a known word")
        for label, value in self.bag_info:
            _refuse_label(label, value)
        for url in (self.sources_url, self.iiif):
            if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc):
                raise UsageError(f"{url} is not an address", advice="It begins with http:// or https://.")
        if self.sources_url is not None and self.sha512:
            raise UsageError(
                "files that stay away cannot have SHA-512 checksums: the manifest holds their SHA-256",
                advice="Leave out --sha512, or give the scans with --with-sources.",
            )
        if self.form == "plain":
            self._refuse_plain()
        self._refuse_half_of_iiif()

    def _refuse_half_of_iiif(self) -> None:
        if self.iiif is None:
            if self.iiif_tiles:
                raise UsageError("--iiif-tiles needs --iiif")
            return
        if self.sources is None and (self.sources_url is None or self.iiif_tiles):
            raise UsageError("a viewer needs the scans, too", advice="Give their folder with --with-sources.")
        if self.bag_size is not None:
            raise UsageError("IIIF describes the whole, not one bag of several", advice="Leave out --bag-size.")

    def _refuse_plain(self) -> None:
        if self.premis is None and self.iiif is None:
            raise UsageError("nothing is asked for", advice="Give --bagit, --zip, --premis or --iiif.")
        if self.with_report:
            raise UsageError("a report is for bags", advice="Give --bagit or --zip.")
        object.__setattr__(self, "bag_size", None)  # which may be in the config file, for bags


def _refuse_label(label: str, value: str) -> None:
    """Raise unless a label and its value can be in ``bag-info.txt`` (RFC 8493, section 2.2.2).

    Raises:
        UsageError: they cannot.

    """
    if not _LABEL.fullmatch(label) or "\r" in value or "\n" in value or not value.strip():
        raise UsageError(
            f"{label!r} with {value!r} cannot be in bag-info.txt",
            advice="Write it as LABEL=VALUE, on one line, without a colon in the label.",
        )
    if label.title() in OWN_LABELS:
        raise UsageError(f"{label} is computed", advice="Leave it out of --bag-info.")


@dataclass
class Packaged:
    """The outcome of a package."""

    bags: list[str] = field(default_factory=list)
    """Folders or files that were written, as they are shown."""
    outputs: int = 0
    """Outputs in them."""
    sources: int = 0
    """Scans in them."""
    to_fetch: int = 0
    """Scans that stay away, and are listed in ``fetch.txt``."""
    bytes: int = 0
    """Bytes of payload in them."""
    linked: int = 0
    """Files that are hard links."""
    kept: int = 0
    """Files that an earlier, killed command had written, and that were found sound."""
    warnings: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    """What is wrong with the folder or the scans: then the package is not finished."""

    @property
    def is_finished(self) -> bool:
        """Whether the package was finished."""
        return not self.findings
