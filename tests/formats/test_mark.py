"""The mark, read back by the standard library's XML parser; names and URIs are those of the specifications."""

import xml.etree.ElementTree as ET

import pytest

from colorbatch.formats import mark
from colorbatch.version import __version__

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
DC = "{http://purl.org/dc/elements/1.1/}"
BASIC = "{http://ns.adobe.com/xap/1.0/}"
MM = "{http://ns.adobe.com/xap/1.0/mm/}"
REF = "{http://ns.adobe.com/xap/1.0/sType/ResourceRef#}"
EVENT = "{http://ns.adobe.com/xap/1.0/sType/ResourceEvent#}"
EXT = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
ORIGIN = mark.Origin(
    "box 3/Gro\xdfmutter & <wir>\udcff.tif",
    "ab" * 32,
    "default",
    "cd" * 32,
    "ef" * 32,
    "compositeWithTrainedAlgorithmicMedia",
)
EXISTING = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
    xmlns:own="http://archive.example/terms/" xmlns:ext="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmp:CreatorTool="SilverFast 8" own:shelf="7/b" xmpMM:DocumentID="xmp.did:1" xmpMM:InstanceID="xmp.iid:2">
   <dc:source>Box 3, no. 12</dc:source>
   <dc:title><rdf:Alt><rdf:li xml:lang="de">Großmutter</rdf:li></rdf:Alt></dc:title>
   <ext:DigitalSourceType rdf:resource="http://cv.iptc.org/newscodes/digitalsourcetype/negativeFilm"/>
   <xmpMM:History><rdf:Seq><rdf:li stEvt:action="created" stEvt:when="1998-05-01"/></rdf:Seq></xmpMM:History>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
   <?xpacket end="w"?>""".encode()


def texts(packet: bytes, tag: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(packet).iter(tag)]  # noqa: S314 (ours)


def test_a_picture_without_xmp_gets_the_whole_mark() -> None:
    packet = mark.marked(b"", ORIGIN)
    name, sha256 = "box 3/Gro\xdfmutter & <wir>\\udcff.tif", "sha256:" + "ab" * 32
    assert packet.startswith(b"<?xpacket begin=")
    assert texts(packet, EXT + "DigitalSourceType") == [COMPOSITE]
    assert texts(packet, EXT + "AISystemUsed") == ["colorbatch, model default"]
    assert texts(packet, EXT + "AISystemVersionUsed") == [f"{__version__}, model sha256:{'cd' * 32}"]
    assert texts(packet, DC + "source") == [f"{name} {sha256}"]
    assert texts(packet, BASIC + "CreatorTool") == [f"colorbatch {__version__}"]
    assert texts(packet, REF + "filePath") == [name]
    assert texts(packet, REF + "instanceID") == [sha256]
    assert texts(packet, EVENT + "action") == ["derived"]
    assert mark.digital_source_type(packet) == "compositeWithTrainedAlgorithmicMedia"


def test_what_was_there_stays_and_nothing_is_there_twice() -> None:
    packet = mark.marked(EXISTING, ORIGIN)
    assert b'own:shelf="7/b"' in packet
    assert texts(packet, DC + "title") == ["Gro\xdfmutter"]
    assert texts(packet, EXT + "DigitalSourceType") == [COMPOSITE]
    (source,) = texts(packet, DC + "source")
    assert source.startswith("Box 3, no. 12; box 3/Gro")
    assert packet.count(b"CreatorTool>") == 2
    assert b'CreatorTool="' not in packet
    assert texts(packet, REF + "documentID") == ["xmp.did:1"]
    assert texts(packet, MM + "OriginalDocumentID") == ["xmp.did:1"]
    (document,) = texts(packet, MM + "DocumentID")
    assert document.startswith("xmp.did:")
    assert document != "xmp.did:1"
    (history,) = ET.fromstring(packet).iter(MM + "History")  # noqa: S314 (ours)
    first, second = history.iter(RDF + "li")
    assert first.get(EVENT + "when") == "1998-05-01"
    said = "".join(second.itertext())
    for before in ("SilverFast 8", "negativeFilm", "xmp.iid:2"):
        assert before in said


def test_the_mark_is_the_same_every_time_and_tells_pictures_apart() -> None:
    other = mark.Origin("a", "12" * 32, "default", "cd" * 32, "ef" * 32, "algorithmicallyEnhanced")
    assert mark.marked(EXISTING, ORIGIN) == mark.marked(EXISTING, ORIGIN)
    assert texts(mark.marked(b"", other), MM + "DocumentID") != texts(mark.marked(b"", ORIGIN), MM + "DocumentID")
    assert mark.digital_source_type(mark.marked(b"", other)) == "algorithmicallyEnhanced"


@pytest.mark.parametrize(
    "packet",
    [
        b"no XML",
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
        b"<a><b></a>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>&b;</rdf:RDF>",
        EXISTING[:400],
    ],
)
def test_what_is_not_xmp_is_a_value_error(packet: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (each has words of its own)
        mark.marked(packet, ORIGIN)


def test_a_document_type_is_refused_whatever_it_holds() -> None:
    outside = b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/hostname'>]><a>&b;</a>"
    laughs = b"<!DOCTYPE a [<!ENTITY b 'ha'>" + b"".join(
        b"<!ENTITY b%d '%s'>" % (n, b"&b%d;" % (n - 1) * 10 if n else b"&b;" * 10) for n in range(12)
    )
    for packet in (outside, laughs + b"]><a>&b11;</a>"):
        with pytest.raises(ValueError, match=r"document type|ntit|loop"):
            mark.digital_source_type(packet)


def test_a_packet_without_a_source_type_says_none() -> None:
    assert mark.digital_source_type(b"") == ""
    assert mark.digital_source_type(b"<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>") == ""


def test_a_long_packet_is_split_and_joined_without_loss() -> None:
    long = EXISTING.replace(b"7/b", b"7/b" * 40_000)
    packet = mark.marked(long, ORIGIN)
    short, extended = mark.split(packet, 65_000)
    assert len(short) <= 65_000
    assert mark.digital_source_type(short) == "compositeWithTrainedAlgorithmicMedia"
    assert f'HasExtendedXMP="{mark.name_of(extended).decode()}"'.encode() in short
    joined = mark.joined(short, extended)
    assert b"7/b" * 40_000 in joined
    assert b"HasExtendedXMP" not in joined
    for tag in (DC + "title", DC + "source", EXT + "DigitalSourceType", EVENT + "softwareAgent"):
        assert texts(joined, tag) == texts(packet, tag)
    assert mark.split(EXISTING, 65_000) == (EXISTING, b"")


def test_comments_and_other_encodings_are_no_trouble() -> None:
    commented = EXISTING.replace(b"<rdf:Description", b"<!-- by hand --><rdf:Description", 1)
    assert texts(mark.marked(commented, ORIGIN), DC + "title") == ["Gro\xdfmutter"]
    wide = EXISTING.decode().replace(' id="W5M0', ' id="W5M0').encode("utf-16")
    assert texts(mark.marked(wide, ORIGIN), DC + "title") == ["Gro\xdfmutter"]
    assert texts(mark.marked(EXISTING + b"\0\0 \n", ORIGIN), DC + "title") == ["Gro\xdfmutter"]


def test_an_orientation_is_read_and_set_to_1_and_the_rest_left_alone() -> None:
    turned = EXISTING.replace(
        b'own:shelf="7/b"', b'own:shelf="7/b" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"'
    )
    assert (mark.orientation(turned), mark.orientation(EXISTING), mark.orientation(b"Orientation")) == (6, None, None)
    upright = mark.upright(turned)
    assert mark.orientation(upright) == 1
    assert texts(upright, DC + "title") == ["Gro\xdfmutter"]
    assert mark.upright(EXISTING) == EXISTING
