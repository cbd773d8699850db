"""XMP packets: parsed, searched and written (XMP specification, part 1)."""

import re
from collections.abc import Iterator

from lxml import etree

PREFIXES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "stRef": "http://ns.adobe.com/xap/1.0/sType/ResourceRef#",
    "stEvt": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "xmpGImg": "http://ns.adobe.com/xap/1.0/g/img/",
    "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
    "crss": "http://ns.adobe.com/camera-raw-saved-settings/1.0/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "acdsee-rs": "http://ns.acdsee.com/regions/",
    "Container": "http://ns.google.com/photos/1.0/container/",
    "GContainer": "http://ns.google.com/photos/1.0/container/item/",
    "GCamera": "http://ns.google.com/photos/1.0/camera/",
    "GDepth": "http://ns.google.com/photos/1.0/depthmap/",
    "GImage": "http://ns.google.com/photos/1.0/image/",
    "GAudio": "http://ns.google.com/photos/1.0/audio/",
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
    "HDRGainMap": "http://ns.apple.com/HDRGainMap/1.0/",
}
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'.encode()
_END = b'\n<?xpacket end="w"?>'
EMPTY = f'<x:xmpmeta xmlns:x="{PREFIXES["x"]}"><rdf:RDF xmlns:rdf="{PREFIXES["rdf"]}"/></x:xmpmeta>'.encode()


def parsed(packet: bytes) -> etree._Element:
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


def rdf_of(root: etree._Element) -> etree._Element:
    """Return the element whose children are descriptions, which hold the properties.

    Raises:
        ValueError: there is none.

    """
    rdf = next(root.iter(tag("rdf:RDF")), None)
    if rdf is None:
        raise ValueError("it holds no RDF")
    return rdf


def packet_of(root: etree._Element) -> bytes:
    """Return a packet in UTF-8."""
    serialized: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=False)
    return _BEGIN + serialized + _END


def pop_property(descriptions: list[etree._Element], key: str) -> str:
    """Remove a property, whether attribute or element, and return its text."""
    name, texts = tag(key), []
    for description in descriptions:
        texts.append(description.attrib.pop(name, ""))
        for element in description.findall(name):
            texts.append(" ".join(_texts(element)))
            description.remove(element)
    return "; ".join(text for text in texts if text)


def _texts(element: etree._Element) -> Iterator[str]:
    """Yield the texts of an element: its resource link, if any, and all text in it."""
    for each in (element.get(tag("rdf:resource"), ""), *element.itertext()):
        if text := re.sub(r"\s+", " ", each).strip():
            yield text


def add(parent: etree._Element, key: str, text: str) -> None:
    """Add a property, unless its text is empty."""
    if text:
        etree.SubElement(parent, tag(key)).text = text


def tag(key: str) -> str:
    """Return the name of a property with its namespace, for one such as ``dc:title``."""
    prefix, name = key.split(":")
    return f"{{{PREFIXES[prefix]}}}{name}"


def subset(wanted: str) -> dict[str, str]:
    """Return some of the prefixes, separated by spaces, with their namespaces."""
    return {prefix: PREFIXES[prefix] for prefix in wanted.split()}
