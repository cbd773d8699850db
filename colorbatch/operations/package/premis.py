"""The provenance of pictures in PREMIS 3: objects, what happened to them, and who or what did it.

The units and their order are those of the PREMIS Data Dictionary, version 3.0, and its XML schema.
"""

import io
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lxml import etree

from colorbatch.operations.package.contents import Holding, Member, copied_sidecar
from colorbatch.operations.package.file_format import XMP, FileFormat
from colorbatch.operations.package.job import PremisUnit
from colorbatch.records.row import Row
from colorbatch.text import to_utf_8

NAMESPACE = "http://www.loc.gov/premis/v3"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document can hold (XML 1.0, section 2.2)."""
_PART_BYTES = 2**20
_UUIDS = uuid.UUID("5b0f7b1c-0b3e-5c1b-9a55-6f8d3f0c2a11")
"""Namespace of the identifiers: the same folder gives the same ones (RFC 9562, section 5.5)."""
_Element: TypeAlias = Any
"""An element of lxml, which carries no types."""


@dataclass(frozen=True)
class Described:
    """A row with what is known of its files."""

    holding: Holding
    source_format: FileFormat
    output_format: FileFormat

    @property
    def row(self) -> Row:
        """The row."""
        return self.holding.row

    @property
    def has_event(self) -> bool:
        """Whether something was done, or failed: what was skipped has no event."""
        return self.row.status == "failed" or (self.row.status == "done" and self.row.output is not None)


def documents(described: Sequence[Described], unit: PremisUnit) -> Iterator[tuple[str, Sequence[Described]]]:
    """Yield the path of each document, and the rows that it describes; what was skipped has none."""
    with_event = [each for each in described if each.has_event]
    if unit == "picture":
        yield from ((f"premis/{each.holding.name}.xml", [each]) for each in with_event)
    elif with_event:  # the schema wants an object
        yield "premis.xml", with_event


def document(described: Sequence[Described], payload: str, retouched_by: str | None) -> Iterator[bytes]:
    """Yield a PREMIS document in parts of about a megabyte.

    Args:
        described: rows that have an event, at least one.
        payload: folder of the package in which the files are, with a slash, or empty.
        retouched_by: name of the person who gave hints; ``None``: not told.

    """
    buffer = io.BytesIO()
    with etree.xmlfile(buffer, encoding="utf-8") as file:
        file.write_declaration()
        with file.element(_name("premis"), {"version": "3.0"}, nsmap={"premis": NAMESPACE, "xsi": _XSI}):
            file.write("\n")
            for element in _entities(described, payload, retouched_by):
                file.write(element, pretty_print=True)
                file.flush()
                if buffer.tell() >= _PART_BYTES:
                    yield buffer.getvalue()
                    buffer.seek(0)
                    buffer.truncate()
    yield buffer.getvalue() + b"\n"


def _entities(rows: Sequence[Described], payload: str, retouched_by: str | None) -> Iterator[_Element]:
    """Yield objects, events and agents, in that order, which the schema wants."""
    for each in rows:
        yield _source(each, payload)
        yield from (_sidecar(each, name, payload) for name in each.row.sidecars)
        if each.row.output is not None:
            yield _output(each, payload)
        if each.row.sidecar_output is not None:
            yield _sidecar_copy(each, payload)
    for each in rows:
        yield _event(each, retouched_by)
        if each.row.c2pa is not None:
            yield _signing(each.row)
    yield from _agents([each.row for each in rows], retouched_by)


def _source(each: Described, payload: str) -> _Element:
    row = each.row
    element = _object(_source_id(row))
    _add_characteristics(element, row.input_sha256, row.input_bytes, each.source_format)
    _add(element, "originalName", to_utf_8(row.input))
    _add_storage(element, each.holding.source, payload)
    if row.output is not None:
        _add_relationship(element, "is source of", _output_id(row), _event_id(row))
    for name in row.sidecars:
        _add_reference(element, "is documented in", _sidecar_id(row, name))
    _add_identifier(element, "linkingEventIdentifier", _event_id(row))
    return element


def _sidecar(each: Described, name: str, payload: str) -> _Element:
    """Return a sidecar of a scan, which was merged into the output, or copied."""
    row = each.row
    member = each.holding.sidecars.get(name)
    is_copied = name == copied_sidecar(row)
    element = _object(_sidecar_id(row, name))
    sha256 = row.sidecar_output_sha256 if is_copied else None
    _add_characteristics(element, sha256, None if member is None else member.size, XMP)
    _add(element, "originalName", to_utf_8(name))
    _add_storage(element, member, payload)
    _add_reference(element, "documents", _source_id(row))
    if row.output is not None:
        outcome = _copy_id(row) if is_copied else _output_id(row)
        _add_relationship(element, "is source of", outcome, _event_id(row))
    _add_identifier(element, "linkingEventIdentifier", _event_id(row))
    return element


def _sidecar_copy(each: Described, payload: str) -> _Element:
    row = each.row
    member = each.holding.sidecar
    element = _object(_copy_id(row))
    _add_characteristics(element, row.sidecar_output_sha256, None if member is None else member.size, XMP)
    _add(element, "originalName", to_utf_8(str(row.sidecar_output)))
    _add_storage(element, member, payload)
    if row.output is not None:
        _add_reference(element, "documents", _output_id(row))
    if (name := copied_sidecar(row)) is not None:
        _add_relationship(element, "has source", _sidecar_id(row, name), _event_id(row))
        _add_identifier(element, "linkingEventIdentifier", _event_id(row))
    return element


def _output(each: Described, payload: str) -> _Element:
    row = each.row
    element = _object(_output_id(row))
    characteristics = _add_characteristics(element, row.output_sha256, row.output_bytes, each.output_format)
    if row.output_sha256 != row.input_sha256:
        application = _add(characteristics, "creatingApplication")
        _add(application, "creatingApplicationName", "colorbatch")
        _add(application, "creatingApplicationVersion", row.version or "")
        _add(application, "dateCreatedByApplication", row.colored_at or row.finished_at or "")
    _add(element, "originalName", to_utf_8(str(row.output)))
    _add_storage(element, each.holding.output, payload)
    _add_relationship(element, "has source", _source_id(row), _event_id(row))
    for name in row.sidecars:
        if name != copied_sidecar(row):
            _add_relationship(element, "has source", _sidecar_id(row, name), _event_id(row))
    if row.sidecar_output is not None:
        _add_reference(element, "is documented in", _copy_id(row))
    _add_identifier(element, "linkingEventIdentifier", _event_id(row))
    if row.c2pa is not None:
        _add_identifier(element, "linkingEventIdentifier", _signing_id(row))
    return element


def _object(identifier: str) -> _Element:
    element = etree.Element(
        _name("object"), {f"{{{_XSI}}}type": "premis:file"}, nsmap={"premis": NAMESPACE, "xsi": _XSI}
    )
    _add_identifier(element, "objectIdentifier", identifier)
    return element


def _add_characteristics(element: _Element, sha256: str | None, size: int | None, file_format: FileFormat) -> _Element:
    found = _add(element, "objectCharacteristics")
    _add(found, "compositionLevel", "0")
    if sha256 is not None:
        fixity = _add(found, "fixity")
        _add(fixity, "messageDigestAlgorithm", "SHA-256")
        _add(fixity, "messageDigest", sha256)
        _add(fixity, "messageDigestOriginator", "colorbatch")
    if size is not None:
        _add(found, "size", str(size))
    designated = _add(found, "format")
    designation = _add(designated, "formatDesignation")
    _add(designation, "formatName", file_format.name)
    _add(designation, "formatVersion", file_format.version)
    if file_format.puid:
        registry = _add(designated, "formatRegistry")
        _add(registry, "formatRegistryName", "PRONOM")
        _add(registry, "formatRegistryKey", file_format.puid)
        _add(registry, "formatRegistryRole", "specification")
    return found


def _add_storage(element: _Element, member: Member | None, payload: str) -> None:
    """Add where a file is: in the package, or at an address."""
    if member is None:
        return
    location = _add(_add(element, "storage"), "contentLocation")
    _add(location, "contentLocationType", "URI" if member.url else "path in the package")
    _add(location, "contentLocationValue", member.url or payload + member.path)


def _add_relationship(element: _Element, kind: str, other: str, event: str) -> None:
    relationship = _add(element, "relationship")
    _add(relationship, "relationshipType", "derivation")
    _add(relationship, "relationshipSubType", kind)
    _add_identifier(relationship, "relatedObjectIdentifier", other)
    _add_identifier(relationship, "relatedEventIdentifier", event)


def _add_reference(element: _Element, kind: str, other: str) -> None:
    """Add that one object describes another: ``documents`` or ``is documented in``."""
    relationship = _add(element, "relationship")
    _add(relationship, "relationshipType", "reference")
    _add(relationship, "relationshipSubType", kind)
    _add_identifier(relationship, "relatedObjectIdentifier", other)


def _event(each: Described, retouched_by: str | None) -> _Element:
    row = each.row
    is_copy = row.output is not None and row.output_sha256 == row.input_sha256
    element = etree.Element(_name("event"), nsmap={"premis": NAMESPACE})
    _add_identifier(element, "eventIdentifier", _event_id(row))
    _add(element, "eventType", "replication" if is_copy else "colorization")
    _add(element, "eventDateTime", row.colored_at or row.finished_at or "unknown")
    _add(_add(element, "eventDetailInformation"), "eventDetail", _detail(row, is_copy=is_copy))
    outcome = _add(element, "eventOutcomeInformation")
    _add(outcome, "eventOutcome", "success" if row.status == "done" else "failure")
    for note in filter(None, (row.reason, *row.warnings)):
        _add(_add(outcome, "eventOutcomeDetail"), "eventOutcomeDetailNote", note)
    for identifier, role in _agents_of(row, retouched_by):
        linking = _add_identifier(element, "linkingAgentIdentifier", identifier)
        _add(linking, "linkingAgentRole", role)
    for source in (_source_id(row), *(_sidecar_id(row, name) for name in row.sidecars)):
        _add(_add_identifier(element, "linkingObjectIdentifier", source), "linkingObjectRole", "source")
    outcomes = [_output_id(row)] if row.output is not None else []
    outcomes += [_copy_id(row)] if copied_sidecar(row) is not None else []
    for made in outcomes:
        _add(_add_identifier(element, "linkingObjectIdentifier", made), "linkingObjectRole", "outcome")
    return element


def _signing(row: Row) -> _Element:
    """Return the event that Content Credentials were put into an output, as the Library of Congress calls it."""
    element = etree.Element(_name("event"), nsmap={"premis": NAMESPACE})
    _add_identifier(element, "eventIdentifier", _signing_id(row))
    _add(element, "eventType", "digital signature generation")
    _add(element, "eventDateTime", row.finished_at or "unknown")
    detail = f"Content Credentials (C2PA) in the file state that a model made the colours. Claim: {row.c2pa}"
    _add(_add(element, "eventDetailInformation"), "eventDetail", detail)
    _add(_add(element, "eventOutcomeInformation"), "eventOutcome", "success")
    linking = _add_identifier(element, "linkingAgentIdentifier", _software(row))
    _add(linking, "linkingAgentRole", "executing program")
    _add(_add_identifier(element, "linkingObjectIdentifier", _output_id(row)), "linkingObjectRole", "outcome")
    return element


def _detail(row: Row, *, is_copy: bool) -> str:
    """Return what was done, with all that determines the result, for people and for programs."""
    copied = copied_sidecar(row)
    if is_copy:
        with_sidecar = "" if copied is None else " So was its XMP sidecar."
        return f"The source was copied unchanged, byte for byte.{with_sidecar}"
    known = {
        "settings": dict(row.settings),
        "settings_sha256": row.settings_sha256,
        "retouch_sha256": row.retouch_sha256,
        "provider": row.provider,
        "luma": row.luma,
        "digital_source_type": row.digital_source_type,
        "confidence": row.confidence,
        "sidecar_copied": copied and to_utf_8(copied),
        "sidecars_merged": None if copied is not None else [*map(to_utf_8, row.sidecars)] or None,
    }
    told = {name: value for name, value in known.items() if value is not None}
    return f"Colours were added by a model; the luma of the source was kept. {json.dumps(told, sort_keys=True)}"


_Agent = tuple[str, str]
"""Type and value of an identifier."""


def _agents_of(row: Row, retouched_by: str | None) -> Iterator[tuple[_Agent, str]]:
    """Yield the identifiers of all who took part in an event, and their parts."""
    yield _software(row), "executing program"
    if row.model_sha256 is not None:
        yield ("SHA-256", row.model_sha256), "model"
    if row.retouch_sha256 is not None:
        yield _person(retouched_by), "gave hints"


def _agents(rows: Sequence[Row], retouched_by: str | None) -> Iterator[_Element]:
    """Yield every program, model and person once."""
    for version in sorted({row.version or "" for row in rows}):
        element = _agent(_software(Row("", version=version)), "colorbatch", "software")
        _add(element, "agentVersion", version)
        yield element
    for sha256, name in sorted({(row.model_sha256, row.model or "") for row in rows if row.model_sha256 is not None}):
        element = _agent(("SHA-256", sha256), name, "software")
        _add(element, "agentNote", "A model in ONNX, identified by the SHA-256 of its file.")
        yield element
    if any(row.retouch_sha256 is not None for row in rows):
        element = _agent(_person(retouched_by), retouched_by or "", "person")
        _add(element, "agentNote", "Said in the retouch record which colours are right.")
        yield element


def _agent(identifier: _Agent, name: str, kind: str) -> _Element:
    element = etree.Element(_name("agent"), nsmap={"premis": NAMESPACE})
    _add_identifier(element, "agentIdentifier", identifier)
    _add(element, "agentName", name)
    _add(element, "agentType", kind)
    return element


def _software(row: Row) -> _Agent:
    return "local", f"colorbatch {row.version or ''}".strip()


def _person(name: str | None) -> _Agent:
    return "local", f"person: {name or 'not named'}"


def _source_id(row: Row) -> str:
    return _uuid("source", row.input, row.input_sha256)


def _output_id(row: Row) -> str:
    return _uuid("output", row.input, row.output, row.output_sha256)


def _sidecar_id(row: Row, name: str) -> str:
    """Return the identifier of a sidecar; one of several pictures is an object for each."""
    return _uuid("sidecar", row.input, name, row.sidecars_sha256)


def _copy_id(row: Row) -> str:
    return _uuid("sidecar copy", row.input, row.sidecar_output, row.sidecar_output_sha256)


def _signing_id(row: Row) -> str:
    return _uuid("signing", row.input, row.output_sha256, row.c2pa)


def _event_id(row: Row) -> str:
    return _uuid("event", row.input, row.output_sha256, row.finished_at)


def _uuid(*parts: str | None) -> str:
    return str(uuid.uuid5(_UUIDS, json.dumps(parts)))


def _add_identifier(element: _Element, name: str, identifier: "str | _Agent") -> _Element:
    """Add an identifier; a text is a UUID."""
    kind, value = ("UUID", identifier) if isinstance(identifier, str) else identifier
    found = _add(element, name)
    _add(found, f"{name}Type", kind)
    _add(found, f"{name}Value", value)
    return found


def _add(element: _Element, name: str, text: str | None = None) -> _Element:
    """Add an element; one that would be an empty text is left out of the document."""
    child = etree.Element(_name(name))
    if text is not None:
        child.text = _NOT_IN_XML.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    if text != "":
        element.append(child)
    return child


def _name(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"
