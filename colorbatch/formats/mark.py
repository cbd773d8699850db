"""XMP packets: record in them that colours were made by a model, and keep all their other properties."""

import hashlib
import re
import uuid
from dataclasses import dataclass

from lxml import etree

from colorbatch.formats.xmp import EMPTY, add, packet_of, parsed, pop_property, rdf_of, subset, tag
from colorbatch.job import DigitalSourceType
from colorbatch.text import printable
from colorbatch.version import __version__

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
"""Namespace of the IPTC NewsCodes for digital source types."""
_NOTE_BYTES = 300
"""Bytes reserved for the description that refers to the extension of a long packet."""
_LONGEST_VALUE = 1_000
"""Maximum number of characters of a replaced value that are recorded: the mark has to fit into a JPEG segment."""
_HINTS = re.compile(r"coloured by a model, with (\d{1,9}) hints? of a person ", re.ASCII)
"""Beginning of the parameters of the event, where a person gave hints."""
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://pypi.org/project/colorbatch/")
"""Namespace of the identifiers of outputs: equal sources, models, settings and retouches give equal
ones."""


@dataclass(frozen=True)
class Origin:
    """The source of a coloured picture, and how it was coloured."""

    source_name: str
    source_sha256: str
    model: str
    model_sha256: str
    settings_sha256: str
    digital_source_type: DigitalSourceType
    retouch_sha256: str | None = None
    """Hash of what a person said about it; ``None``: nothing."""
    hints: int = 0
    """Number of colours that a person gave."""
    sidecars_sha256: str | None = None
    """Hash of what XMP files beside the source hold; ``None``: the picture has nothing of them."""


def marked(packet: bytes, origin: Origin) -> bytes:
    """Return an XMP packet that also states that its picture was coloured by a model.

    Properties that can occur only once are replaced; their values are recorded in the new event of ``xmpMM:History``,
    which has no time, so that equal sources give equal outputs. Sources: IPTC Photo Metadata Standard 2025.1 (digital
    source type, AI system), XMP specification part 2, sections 2.5 and 2.6 (identifiers, events).

    Args:
        packet: the packet of the source; may be empty.
        origin: of the picture.

    Raises:
        ValueError: ``packet`` is not XMP.

    """
    root = parsed(packet) if packet else parsed(EMPTY)
    rdf = rdf_of(root)
    existing = list(rdf)
    tool = f"colorbatch {__version__}"
    sha256 = f"sha256:{origin.source_sha256}"
    name = printable(origin.source_name)
    document = _replaced(existing, "xmpMM:DocumentID")
    first_document = _replaced(existing, "xmpMM:OriginalDocumentID") or document
    source = _replaced(existing, "dc:source")
    before = {
        key: _replaced(existing, key)
        for key in (
            "xmpMM:InstanceID",
            "xmpMM:DerivedFrom",
            "xmp:CreatorTool",
            "Iptc4xmpExt:DigitalSourceType",
            "Iptc4xmpExt:AISystemUsed",
            "Iptc4xmpExt:AISystemVersionUsed",
        )
    }
    history = _history_of(existing)

    mark = etree.SubElement(rdf, tag("rdf:Description"), nsmap=subset("dc xmp xmpMM stRef Iptc4xmpExt"))
    mark.set(tag("rdf:about"), existing[0].get(tag("rdf:about"), "") if existing else "")
    said = (origin.retouch_sha256, origin.sidecars_sha256)
    made_from = (origin.source_sha256, origin.model_sha256, origin.settings_sha256, *filter(None, said))
    identity = uuid.uuid5(_NAMESPACE, "/".join(made_from))
    add(mark, "Iptc4xmpExt:DigitalSourceType", SOURCE_TYPES + origin.digital_source_type)
    add(mark, "Iptc4xmpExt:AISystemUsed", f"colorbatch, model {printable(origin.model)}")
    add(mark, "Iptc4xmpExt:AISystemVersionUsed", f"{__version__}, model sha256:{origin.model_sha256}")
    add(mark, "dc:source", f"{source}; {name} {sha256}" if source else f"{name} {sha256}")
    add(mark, "xmp:CreatorTool", tool)
    add(mark, "xmpMM:DocumentID", f"xmp.did:{identity}")
    add(mark, "xmpMM:InstanceID", f"xmp.iid:{identity}")
    add(mark, "xmpMM:OriginalDocumentID", first_document)
    derived = etree.SubElement(mark, tag("xmpMM:DerivedFrom"), {tag("rdf:parseType"): "Resource"})
    add(derived, "stRef:filePath", name)
    add(derived, "stRef:documentID", document)
    add(derived, "stRef:instanceID", sha256)

    if history is None:
        history = etree.SubElement(etree.SubElement(mark, tag("xmpMM:History")), tag("rdf:Seq"))
    event = etree.SubElement(history, tag("rdf:li"), {tag("rdf:parseType"): "Resource"}, nsmap=subset("stEvt"))
    add(event, "stEvt:action", "derived")
    add(event, "stEvt:softwareAgent", tool)
    add(event, "stEvt:instanceID", f"xmp.iid:{identity}")
    replaced = "".join(f"; {key.split(':')[1]} was: {value}" for key, value in before.items() if value)
    hints = f", with {origin.hints} {'hint' if origin.hints == 1 else 'hints'} of a person" if origin.hints else ""
    add(event, "stEvt:parameters", f"coloured by a model{hints} from {name} {sha256}{replaced}")
    return packet_of(root)


def digital_source_type(packet: bytes) -> str:
    """Return the IPTC digital source type, or the URI of one of another vocabulary; empty if there is none.

    Raises:
        ValueError: ``packet`` is not XMP.

    """
    if not packet:
        return ""
    return pop_property(list(rdf_of(parsed(packet))), "Iptc4xmpExt:DigitalSourceType").removeprefix(SOURCE_TYPES)


def given_hints(packet: bytes) -> int:
    """Return how many hints of a person the last event says that its picture was coloured with.

    Raises:
        ValueError: ``packet`` is not XMP.

    """
    history = _history_of(list(rdf_of(parsed(packet)))) if packet else None
    parameters = [each.text or "" for each in history.iter(tag("stEvt:parameters"))] if history is not None else []
    found = _HINTS.match(parameters[-1]) if parameters else None
    return int(found[1]) if found else 0


def is_made_of(packet: bytes, source_name: str) -> bool:
    """Return whether a packet states that colorbatch made its picture from a source of that name.

    Raises:
        ValueError: ``packet`` is not XMP.

    """
    if not packet:
        return False
    descriptions = list(rdf_of(parsed(packet)))
    paths = [path.text for each in descriptions for path in each.iter(tag("stRef:filePath"))]
    return pop_property(descriptions, "xmp:CreatorTool").startswith("colorbatch ") and printable(source_name) in paths


def extended_name(standard: bytes) -> bytes:
    """Return the name of the extended XMP that a packet refers to; empty if there is none.

    Raises:
        ValueError: ``standard`` is not XMP.

    """
    return pop_property(list(rdf_of(parsed(standard))), "xmpNote:HasExtendedXMP").encode()


def orientation(packet: bytes) -> int | None:
    """Return the orientation of the stored pixels, 1 to 8; ``None``: it has none, or an invalid one."""
    if b"Orientation" not in packet:
        return None
    try:
        value = pop_property(list(rdf_of(parsed(packet))), "tiff:Orientation")
    except ValueError:
        return None
    return int(value) if value in tuple("12345678") else None


def upright(packet: bytes) -> bytes:
    """Return a packet for an upright picture: its orientation is 1 if it has one."""
    if orientation(packet) in (None, 1):
        return packet
    root = parsed(packet)
    descriptions = list(rdf_of(root))
    pop_property(descriptions, "tiff:Orientation")
    add(descriptions[0], "tiff:Orientation", "1")
    return packet_of(root)


def joined(standard: bytes, extended: bytes) -> bytes:
    """Return the packet of a JPEG with extended XMP (XMP specification, part 3, section 1.1.3.1).

    Raises:
        ValueError: one of them is not XMP.

    """
    root = parsed(standard)
    rdf = rdf_of(root)
    pop_property(list(rdf), "xmpNote:HasExtendedXMP")
    rdf.extend(list(rdf_of(parsed(extended))))
    return packet_of(root)


def split(packet: bytes, longest: int) -> tuple[bytes, bytes]:
    """Return a packet of at most ``longest`` bytes, and the extended XMP with the rest; empty if everything fits.

    The last description, which is the mark, is moved last.

    Raises:
        ValueError: ``packet`` is too long and not XMP.

    """
    if len(packet) <= longest:
        return packet, b""
    short, rest = parsed(packet), parsed(EMPTY)
    for description in list(rdf_of(short)):
        rdf_of(rest).append(description)
        if len(packet_of(short)) <= longest - _NOTE_BYTES:
            break
    extended: bytes = etree.tostring(rest, encoding="UTF-8")
    note = etree.SubElement(rdf_of(short), tag("rdf:Description"), nsmap=subset("xmpNote"))
    note.set(tag("rdf:about"), "")
    note.set(tag("xmpNote:HasExtendedXMP"), name_of(extended).decode())
    return packet_of(short), extended


def name_of(extended: bytes) -> bytes:
    """Return the name of extended XMP in the standard packet (XMP specification, part 3, section 1.1.3.1)."""
    return hashlib.md5(extended, usedforsecurity=False).hexdigest().upper().encode()


def _replaced(descriptions: list[etree._Element], key: str) -> str:
    """Remove a property, and return its text, shortened where it is very long."""
    text = pop_property(descriptions, key)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"


def _history_of(descriptions: list[etree._Element]) -> etree._Element | None:
    """Return the list of events, if there is one."""
    for description in descriptions:
        events = description.find(f"{tag('xmpMM:History')}/{tag('rdf:Seq')}")
        if events is not None:
            return events
    return None
