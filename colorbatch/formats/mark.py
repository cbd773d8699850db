"""XMP packets: record in them that colours were made by a model, and keep all their other properties."""

import hashlib
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from colorbatch.job import DigitalSourceType
from colorbatch.text import printable
from colorbatch.version import __version__

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
"""Namespace of the IPTC NewsCodes for digital source types."""
_PREFIXES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "stRef": "http://ns.adobe.com/xap/1.0/sType/ResourceRef#",
    "stEvt": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'.encode()
_END = b'\n<?xpacket end="w"?>'
_EMPTY = f'<x:xmpmeta xmlns:x="{_PREFIXES["x"]}"><rdf:RDF xmlns:rdf="{_PREFIXES["rdf"]}"/></x:xmpmeta>'.encode()
_NOTE_BYTES = 300
"""Bytes reserved for the description that refers to the extension of a long packet."""
_LONGEST_VALUE = 1_000
"""Maximum number of characters of a replaced value that are recorded: the mark has to fit into a JPEG segment."""
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://pypi.org/project/colorbatch/")
"""Namespace of the identifiers of outputs: equal sources, models and settings give equal ones."""


@dataclass(frozen=True)
class Origin:
    """The source of a coloured picture, and how it was coloured."""

    source_name: str
    source_sha256: str
    model: str
    model_sha256: str
    settings_sha256: str
    digital_source_type: DigitalSourceType


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
    root = _parse(packet) if packet else _parse(_EMPTY)
    rdf = _rdf_of(root)
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

    mark = etree.SubElement(rdf, _tag("rdf:Description"), nsmap=_subset(_PREFIXES, "dc xmp xmpMM stRef Iptc4xmpExt"))
    mark.set(_tag("rdf:about"), existing[0].get(_tag("rdf:about"), "") if existing else "")
    identity = uuid.uuid5(_NAMESPACE, "/".join((origin.source_sha256, origin.model_sha256, origin.settings_sha256)))
    _add(mark, "Iptc4xmpExt:DigitalSourceType", SOURCE_TYPES + origin.digital_source_type)
    _add(mark, "Iptc4xmpExt:AISystemUsed", f"colorbatch, model {printable(origin.model)}")
    _add(mark, "Iptc4xmpExt:AISystemVersionUsed", f"{__version__}, model sha256:{origin.model_sha256}")
    _add(mark, "dc:source", f"{source}; {name} {sha256}" if source else f"{name} {sha256}")
    _add(mark, "xmp:CreatorTool", tool)
    _add(mark, "xmpMM:DocumentID", f"xmp.did:{identity}")
    _add(mark, "xmpMM:InstanceID", f"xmp.iid:{identity}")
    _add(mark, "xmpMM:OriginalDocumentID", first_document)
    derived = etree.SubElement(mark, _tag("xmpMM:DerivedFrom"), {_tag("rdf:parseType"): "Resource"})
    _add(derived, "stRef:filePath", name)
    _add(derived, "stRef:documentID", document)
    _add(derived, "stRef:instanceID", sha256)

    if history is None:
        history = etree.SubElement(etree.SubElement(mark, _tag("xmpMM:History")), _tag("rdf:Seq"))
    event = etree.SubElement(
        history, _tag("rdf:li"), {_tag("rdf:parseType"): "Resource"}, nsmap=_subset(_PREFIXES, "stEvt")
    )
    _add(event, "stEvt:action", "derived")
    _add(event, "stEvt:softwareAgent", tool)
    _add(event, "stEvt:instanceID", f"xmp.iid:{identity}")
    replaced = "".join(f"; {key.split(':')[1]} was: {value}" for key, value in before.items() if value)
    _add(event, "stEvt:parameters", f"coloured by a model from {name} {sha256}{replaced}")
    return _packet(root)


def digital_source_type(packet: bytes) -> str:
    """Return the IPTC digital source type, or the URI of one of another vocabulary; empty if there is none.

    Raises:
        ValueError: ``packet`` is not XMP.

    """
    if not packet:
        return ""
    return _pop_property(list(_rdf_of(_parse(packet))), "Iptc4xmpExt:DigitalSourceType").removeprefix(SOURCE_TYPES)


def is_made_of(packet: bytes, source_name: str) -> bool:
    """Return whether a packet states that colorbatch made its picture from a source of that name.

    Raises:
        ValueError: ``packet`` is not XMP.

    """
    if not packet:
        return False
    descriptions = list(_rdf_of(_parse(packet)))
    paths = [path.text for each in descriptions for path in each.iter(_tag("stRef:filePath"))]
    return _pop_property(descriptions, "xmp:CreatorTool").startswith("colorbatch ") and printable(source_name) in paths


def extended_name(standard: bytes) -> bytes:
    """Return the name of the extended XMP that a packet refers to; empty if there is none.

    Raises:
        ValueError: ``standard`` is not XMP.

    """
    return _pop_property(list(_rdf_of(_parse(standard))), "xmpNote:HasExtendedXMP").encode()


def orientation(packet: bytes) -> int | None:
    """Return the orientation of the stored pixels, 1 to 8; ``None``: it has none, or an invalid one."""
    if b"Orientation" not in packet:
        return None
    try:
        value = _pop_property(list(_rdf_of(_parse(packet))), "tiff:Orientation")
    except ValueError:
        return None
    return int(value) if value in tuple("12345678") else None


def upright(packet: bytes) -> bytes:
    """Return a packet for an upright picture: its orientation is 1 if it has one."""
    if orientation(packet) in (None, 1):
        return packet
    root = _parse(packet)
    descriptions = list(_rdf_of(root))
    _pop_property(descriptions, "tiff:Orientation")
    _add(descriptions[0], "tiff:Orientation", "1")
    return _packet(root)


def joined(standard: bytes, extended: bytes) -> bytes:
    """Return the packet of a JPEG with extended XMP (XMP specification, part 3, section 1.1.3.1).

    Raises:
        ValueError: one of them is not XMP.

    """
    root = _parse(standard)
    rdf = _rdf_of(root)
    _pop_property(list(rdf), "xmpNote:HasExtendedXMP")
    rdf.extend(list(_rdf_of(_parse(extended))))
    return _packet(root)


def split(packet: bytes, longest: int) -> tuple[bytes, bytes]:
    """Return a packet of at most ``longest`` bytes, and the extended XMP with the rest; empty if everything fits.

    The last description, which is the mark, is moved last.

    Raises:
        ValueError: ``packet`` is too long and not XMP.

    """
    if len(packet) <= longest:
        return packet, b""
    short, rest = _parse(packet), _parse(_EMPTY)
    for description in list(_rdf_of(short)):
        _rdf_of(rest).append(description)
        if len(_packet(short)) <= longest - _NOTE_BYTES:
            break
    extended: bytes = etree.tostring(rest, encoding="UTF-8")
    note = etree.SubElement(_rdf_of(short), _tag("rdf:Description"), nsmap=_subset(_PREFIXES, "xmpNote"))
    note.set(_tag("rdf:about"), "")
    note.set(_tag("xmpNote:HasExtendedXMP"), name_of(extended).decode())
    return _packet(short), extended


def name_of(extended: bytes) -> bytes:
    """Return the name of extended XMP in the standard packet (XMP specification, part 3, section 1.1.3.1)."""
    return hashlib.md5(extended, usedforsecurity=False).hexdigest().upper().encode()


def _parse(packet: bytes) -> etree._Element:
    """Return the root of a packet; entities are not expanded, and no external resources are read.

    Raises:
        ValueError: it is not well-formed, or has a document type, which XMP never has.

    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_pis=True, remove_comments=True
    )
    is_wide = packet[:2] in (b"\xfe\xff", b"\xff\xfe") or b"\0" in packet[:4].rstrip(b"\0")  # UTF-16 or 32
    try:
        root = etree.fromstring(packet if is_wide else packet.strip(b"\0 \t\r\n"), parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(str(error)) from error
    if root.getroottree().docinfo.doctype:
        raise ValueError("it has a document type")
    return root


def _rdf_of(root: etree._Element) -> etree._Element:
    rdf = next(root.iter(_tag("rdf:RDF")), None)
    if rdf is None:
        raise ValueError("it holds no RDF")
    return rdf


def _packet(root: etree._Element) -> bytes:
    serialized: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=False)
    return _BEGIN + serialized + _END


def _pop_property(descriptions: list[etree._Element], key: str) -> str:
    """Remove a property, whether attribute or element, and return its text."""
    tag, texts = _tag(key), []
    for description in descriptions:
        texts.append(description.attrib.pop(tag, ""))
        for element in description.findall(tag):
            texts.append(" ".join(_texts(element)))
            description.remove(element)
    return "; ".join(text for text in texts if text)


def _replaced(descriptions: list[etree._Element], key: str) -> str:
    """Remove a property, and return its text, shortened where it is very long."""
    text = _pop_property(descriptions, key)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"


def _texts(element: etree._Element) -> Iterator[str]:
    """Yield the texts of an element: its resource link, if any, and all text in it."""
    for each in (element.get(_tag("rdf:resource"), ""), *element.itertext()):
        if text := re.sub(r"\s+", " ", each).strip():
            yield text


def _history_of(descriptions: list[etree._Element]) -> etree._Element | None:
    """Return the list of events, if there is one."""
    for description in descriptions:
        events = description.find(f"{_tag('xmpMM:History')}/{_tag('rdf:Seq')}")
        if events is not None:
            return events
    return None


def _add(parent: etree._Element, key: str, text: str) -> None:
    if text:
        etree.SubElement(parent, _tag(key)).text = text


def _tag(key: str) -> str:
    prefix, name = key.split(":")
    return f"{{{_PREFIXES[prefix]}}}{name}"


def _subset(prefixes: dict[str, str], wanted: str) -> dict[str, str]:
    return {prefix: prefixes[prefix] for prefix in wanted.split()}
