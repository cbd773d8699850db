"""What is taken from an XMP sidecar into the packet of a picture."""

import pytest
from lxml import etree

from colorbatch.formats.sidecar import extension_meant, merged

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
NAMESPACES = {
    "rdf": RDF,
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
    "darktable": "http://darktable.sf.net/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
}


def packet(attributes: str = "", elements: str = "") -> bytes:
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {declared}><rdf:Description rdf:about="" {attributes}>'
        f"{elements}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def title(text: str) -> str:
    return f'<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></dc:title>'


def found(data: bytes, path: str) -> list[str]:
    root = etree.fromstring(data[data.index(b"<x:") :].partition(b"<?")[0])
    return [str(each) for each in root.xpath(path, namespaces=NAMESPACES)]


def test_what_the_packet_lacks_is_taken_as_attribute_and_as_element() -> None:
    data, is_used = merged(
        packet('xmp:Rating="2"'),
        packet('xmp:Label="Red" digiKam:ColorLabel="1"', title("Großmutter")),
    )
    assert is_used
    assert found(data, "//@xmp:Rating") == ["2"]
    assert found(data, "//@xmp:Label") == ["Red"]
    assert found(data, "//@digiKam:ColorLabel") == ["1"]
    assert found(data, "//dc:title/rdf:Alt/rdf:li/text()") == ["Großmutter"]


@pytest.mark.parametrize("own", [packet('xmp:Rating="2"', title("Own")), packet("", title("Own"))])
def test_nothing_is_taken_over_what_the_packet_says_itself(own: bytes) -> None:
    data, _ = merged(own, packet('xmp:Rating="5"', title("Other")))
    assert found(data, "//dc:title//rdf:li/text()") == ["Own"]
    assert found(data, "//@xmp:Rating") == (["2"] if b"Rating" in own else ["5"])


def test_an_attribute_of_the_packet_stands_against_an_element_of_the_sidecar() -> None:
    own = packet('xmp:Rating="2"')
    assert merged(own, packet("", "<xmp:Rating>5</xmp:Rating>")) == (own, False)


@pytest.mark.parametrize(
    ("attributes", "elements"),
    [
        ('crs:Saturation="-100" darktable:xmp_version="5"', "<darktable:history><rdf:Seq/></darktable:history>"),
        ('tiff:Orientation="6" tiff:ImageWidth="3" exif:PixelXDimension="3" exif:ColorSpace="2"', ""),
        ('xmpMM:DocumentID="xmp.did:1" xmpMM:InstanceID="a"', "<xmpMM:History><rdf:Seq/></xmpMM:History>"),
        ('xmp:CreatorTool="colorbatch 9" Iptc4xmpExt:DigitalSourceType="x"', ""),
        ('dc:format="image/x-canon-cr2" photoshop:SidecarForExtension="CR2" photoshop:ColorMode="1"', ""),
        ("", '<mwg-rs:Regions rdf:parseType="Resource"/>'),
    ],
)
def test_what_describes_the_file_its_pixels_or_its_edits_is_left(attributes: str, elements: str) -> None:
    own = packet()
    assert merged(own, packet(attributes, elements)) == (own, False)


def test_who_when_and_where_are_taken_of_the_namespaces_of_pixels() -> None:
    said = 'exif:GPSLatitude="52,30.5N" exif:DateTimeOriginal="1911-05-01T00:00:00" tiff:Artist="A. Krause"'
    data, _ = merged(b"", packet(f'{said} tiff:Orientation="6"'))
    assert found(data, "//@exif:GPSLatitude | //@exif:DateTimeOriginal | //@tiff:Artist") == [
        *("52,30.5N", "1911-05-01T00:00:00", "A. Krause")
    ]
    assert found(data, "//@tiff:Orientation") == []


def test_a_second_sidecar_adds_only_what_both_lack() -> None:
    data, _ = merged(b"", packet('xmp:Rating="1"'))
    data, is_used = merged(data, packet('xmp:Rating="3" xmp:Label="Blue"'))
    assert is_used
    assert (found(data, "//@xmp:Rating"), found(data, "//@xmp:Label")) == (["1"], ["Blue"])


BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (c, b"&%c;" % (c - 1) * 20) for c in b"bcdefgh")
    + b"]>"
)


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"no XML",
        b"<a/>",
        packet()[:-30],
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + packet('xmp:Label="x"'),
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + packet("", "<dc:title>&e;</dc:title>"),
        BOMB + packet('xmp:Label="&h;"'),
        BOMB + packet("", "<dc:title>&h;</dc:title>"),
        b"<a>" * 100_000,
    ],
)
def test_a_hostile_sidecar_is_refused_in_little_memory(hostile: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        merged(packet(), hostile)
    assert extension_meant(hostile) == ""


def test_the_extension_that_a_sidecar_is_for() -> None:
    assert extension_meant(packet('photoshop:SidecarForExtension="CR2"')) == ".cr2"
    assert extension_meant(packet()) == ""
