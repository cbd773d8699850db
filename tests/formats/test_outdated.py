"""XMP and EXIF that are not true of a coloured, upright output, read back by Pillow and the standard library."""

import io
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tifffile
from icc_profiles import gamma
from numpy.typing import NDArray
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin, TiffTags
from saved_pictures import coloured, saved, segment

from colorbatch.formats import decode, encode, with_coded_luma
from colorbatch.formats.outdated import current_xmp
from colorbatch.pixels.metadata import Turn

Levels = NDArray[np.uint8]
NAMESPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpGImg": "http://ns.adobe.com/xap/1.0/g/img/",
    "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "GDepth": "http://ns.google.com/photos/1.0/depthmap/",
    "Container": "http://ns.google.com/photos/1.0/container/",
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
    "dcterms": "http://purl.org/dc/terms/",
    "o": "http://archive.example/terms/",
}
UPRIGHT = Turn(1, 300, 200)


def packet(attributes: str = "", elements: str = "") -> bytes:
    declared = " ".join(f'xmlns:{prefix}="{namespace}"' for prefix, namespace in NAMESPACES.items())
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {declared}><rdf:Description rdf:about="" o:shelf="7/b" '
        f"{attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def values(data: bytes) -> dict[str, str]:
    """Return the texts of all attributes and elements of a packet, by their local names."""
    found: dict[str, str] = {}
    for element in ET.fromstring(data).iter():  # noqa: S314 (ours)
        found |= {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        if not len(element) and element.text:
            found[element.tag.rpartition("}")[2]] = element.text
    return found


THUMBNAILS = (
    '<xmp:Thumbnails><rdf:Alt><rdf:li rdf:parseType="Resource"><xmpGImg:format>JPEG</xmpGImg:format>'
    "<xmpGImg:image>/9j/4AAQ</xmpGImg:image></rdf:li></rdf:Alt></xmp:Thumbnails>"
)
DIRECTORY = (
    '<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item Item="GainMap"/></rdf:li>'
    "</rdf:Seq></Container:Directory>"
)


@pytest.mark.parametrize(
    ("attributes", "elements", "said", "gone"),
    [
        ("", THUMBNAILS, "a grey thumbnail in XMP was dropped", b"4AAQ"),
        ('crs:ConvertToGrayscale="True" crs:Saturation="-100"', "", "settings of Camera Raw", b"crs:C"),
        (
            "",
            "<crs:ToneCurve><rdf:Seq><rdf:li>0, 0</rdf:li></rdf:Seq></crs:ToneCurve>",
            "settings of Camera Raw",
            b"0, 0",
        ),
        ("", DIRECTORY, "XMP about depth, gain or motion", b"GainMap"),
        ('GDepth:Data="AAAA" GDepth:Near="1"', "", "XMP about depth, gain or motion", b"AAAA"),
        ('hdrgm:Version="1.0"', "", "XMP about depth, gain or motion", b"hdrgm:V"),
        ('photoshop:ColorMode="1"', "", "XMP that is no longer true was dropped: photoshop:ColorMode", b"ColorMode"),
        ('exif:ColorSpace="65535"', "", "XMP that is no longer true was dropped: exif:ColorSpace", b"65535"),
        ("", "<tiff:SamplesPerPixel> 1 </tiff:SamplesPerPixel>", "XMP that is no longer true", b"Samples"),
        (
            *("", "<tiff:BitsPerSample><rdf:Seq><rdf:li>8</rdf:li></rdf:Seq></tiff:BitsPerSample>"),
            *("XMP that is no longer true", b"Bits"),
        ),
    ],
)
def test_what_is_outdated_goes_with_a_warning_and_the_rest_stays(
    attributes: str, elements: str, said: str, gone: bytes
) -> None:
    warnings: list[str] = []
    found = current_xmp(packet(attributes, elements), UPRIGHT, warnings)
    assert [warning[: len(said)] for warning in warnings] == [said]
    assert values(found) == values(packet())
    assert gone not in found
    current_xmp(packet(attributes, elements), UPRIGHT, warnings)
    assert len(warnings) == 1, "pages of a TIFF warn once"


@pytest.mark.parametrize(
    "sound",
    [
        packet(),
        packet('photoshop:ColorMode="3" photoshop:ICCProfile="sRGB IEC61966-2.1" exif:ColorSpace="1"'),
        packet('tiff:PhotometricInterpretation="2" tiff:SamplesPerPixel="3" photoshop:City="Bern" xmp:Rating="3"'),
        packet(
            "",
            f"<tiff:BitsPerSample><rdf:Seq>{'<rdf:li>8</rdf:li>' * 3}</rdf:Seq></tiff:BitsPerSample>",
        ),
        packet()[:-9],
        b"no XML",
        b"",
    ],
)
def test_what_is_true_or_damaged_keeps_its_bytes(sound: bytes) -> None:
    warnings: list[str] = []
    assert current_xmp(sound, UPRIGHT, warnings) == sound
    assert warnings == []


AS_ATTRIBUTES = """<mwg-rs:Regions rdf:parseType="Resource">
<mwg-rs:AppliedToDimensions stDim:w="{w}" stDim:h="{h}" stDim:unit="pixel"/>
<mwg-rs:RegionList><rdf:Bag><rdf:li><rdf:Description mwg-rs:Name="Anna">
<mwg-rs:Area stArea:x="0.25" stArea:y="0.1" stArea:w="0.2" stArea:h="0.04" stArea:unit="normalized"/>
</rdf:Description></rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"""
AS_ELEMENTS = """<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:AppliedToDimensions rdf:parseType="Resource">
<stDim:w>{w}</stDim:w><stDim:h>{h}</stDim:h></mwg-rs:AppliedToDimensions>
<mwg-rs:RegionList><rdf:Bag><rdf:li rdf:parseType="Resource"><mwg-rs:Area rdf:parseType="Resource">
<stArea:x>0.25</stArea:x><stArea:y>0.1</stArea:y><stArea:w>0.2</stArea:w><stArea:h>0.04</stArea:h>
</mwg-rs:Area><mwg-rs:Name>Anna</mwg-rs:Name></rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"""


@pytest.mark.parametrize("elements", [AS_ATTRIBUTES, AS_ELEMENTS])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_face_stays_where_it_is_in_the_picture(elements: str, orientation: int) -> None:
    """The face is a bright spot in the stored pixels; Pillow turns them."""
    stored = np.zeros((200, 300), np.uint8)
    stored[16:24, 45:105] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(stored), "PNG", exif=exif, pnginfo=_itxt(packet("", elements.format(w=300, h=200))))
    picture = decode(data)
    found = values(picture.first.metadata.xmp)
    rows, columns = np.nonzero(picture.first.pixels)
    height, width = picture.first.pixels.shape
    assert float(found["x"]) == pytest.approx((columns.min() + columns.max() + 1) / 2 / width)
    assert float(found["y"]) == pytest.approx((rows.min() + rows.max() + 1) / 2 / height)
    assert float(found["w"]) in (width, pytest.approx(np.ptp(columns) / width, abs=0.01))
    area = [float(value) for value in (found["w"], found["h"])]
    assert area == pytest.approx([0.2, 0.04] if orientation < 5 else [0.04, 0.2])
    assert found["Name"] == "Anna"
    assert picture.warnings == ()


def _itxt(data: bytes) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", data.decode())
    return info


def test_faces_that_were_drawn_on_the_upright_picture_stay() -> None:
    warnings: list[str] = []
    upright = packet("", AS_ATTRIBUTES.format(w=200, h=300))
    assert values(current_xmp(upright, Turn(6, 300, 200), warnings)) == values(upright)
    assert warnings == []


@pytest.mark.parametrize(
    "elements",
    [
        AS_ATTRIBUTES.format(w=300, h=200).replace("normalized", "pixel"),
        AS_ATTRIBUTES.format(w=300, h=200).replace("0.25", "left"),
        AS_ATTRIBUTES.format(w="", h=200),
        '<MP:RegionInfo rdf:parseType="Resource"/>',
        "<Iptc4xmpExt:ImageRegion><rdf:Bag/></Iptc4xmpExt:ImageRegion>",
    ],
)
def test_regions_that_cannot_be_turned_are_dropped(elements: str) -> None:
    warnings: list[str] = []
    assert values(current_xmp(packet("", elements), Turn(8, 300, 200), warnings)) == values(packet())
    assert warnings[0].startswith("regions in XMP, such as faces, were dropped")
    assert current_xmp(packet("", elements), UPRIGHT, warnings) == packet("", elements)


def test_sizes_in_xmp_and_exif_change_places_with_those_of_the_picture(ramp: Levels) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x0100], exif[0x0101], exif[0x011A], exif[0x011B] = 6, 48, 16, 300.0, 600.0
    exif.get_ifd(0x8769).update({0xA002: 48, 0xA003: 16, 0x9214: (10, 4, 6, 2), 0xA214: (10, 4)})
    said = 'exif:PixelXDimension="48" exif:PixelYDimension="16" tiff:ImageWidth="48" tiff:ImageLength="16"'
    for picture_format in ("JPEG", "PNG", "WEBP"):
        arguments: dict[str, Any] = (
            {"xmp": packet(said)} if picture_format != "PNG" else {"pnginfo": _itxt(packet(said))}
        )
        output = Image.open(io.BytesIO(coloured(saved(Image.fromarray(ramp), picture_format, exif=exif, **arguments))))
        assert output.size == (16, 48)
        found, inner = output.getexif(), output.getexif().get_ifd(0x8769)
        assert [found[tag] for tag in (0x0100, 0x0101, 0x011A, 0x011B)] == [16, 48, 600, 300]
        # a point 10 to the right and 4 down lies 16 - 4 to the right and 10 down in the picture turned clockwise
        assert [inner[tag] for tag in (0xA002, 0xA003, 0x9214, 0xA214)] == [16, 48, (12, 10, 2, 6), (12, 10)]
        xmp = values(output.info["xmp"])
        assert [xmp[f"Pixel{axis}Dimension"] for axis in "XY"] == ["16", "48"]
        assert [xmp[name] for name in ("ImageWidth", "ImageLength")] == ["16", "48"]


def test_a_jpeg_that_keeps_its_stored_pixels_keeps_what_is_said_of_them(ramp: Levels) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769).update({0xA002: 48, 0xA003: 16})
    regions = AS_ATTRIBUTES.format(w=48, h=16) + '<MP:RegionInfo rdf:parseType="Resource"/>'
    source = saved(Image.fromarray(ramp), "JPEG", exif=exif, xmp=packet('crs:Saturation="-100"', regions))
    picture = with_coded_luma(decode(source), source)
    frame = replace(picture.first, chroma=np.full((2, 4, 4), 0.1, np.float32))
    output = Image.open(io.BytesIO(encode(replace(picture, frames=(frame,)))))
    assert picture.warnings == ("settings of Camera Raw, which would be applied once more, were dropped",)
    assert output.size == (48, 16)
    assert (output.getexif()[0x0112], output.getexif().get_ifd(0x8769)[0xA002]) == (6, 48)
    assert values(output.info["xmp"]) == values(packet("", regions))


def test_sizes_in_the_directory_and_the_xmp_of_a_tiff_change_places_too(ramp: Levels) -> None:
    said = packet('exif:PixelXDimension="48" exif:PixelYDimension="16"')
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[274] = 6
    tags.tagtype[700], tags.tagtype[34665] = TiffTags.BYTE, TiffTags.LONG
    tags[700], tags[34665] = said, {0xA002: 48, 0xA003: 16}
    output = coloured(saved(Image.fromarray(ramp), "TIFF", tiffinfo=tags))
    with tifffile.TiffFile(io.BytesIO(output)) as file:
        tags = file.pages[0].tags
        assert tags.valueof(34665)["PixelXDimension"] == 16
        assert values(bytes(tags.valueof(700)))["PixelYDimension"] == "48"


@pytest.mark.parametrize(("arguments", "expected"), [({"icc_profile": gamma(1.8)[0]}, 1), ({}, 65_535)])
def test_the_colour_space_of_exif_is_srgb_where_the_output_has_its_profile(
    ramp: Levels, arguments: dict[str, bytes], expected: int
) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 65_535
    output = Image.open(io.BytesIO(coloured(saved(Image.fromarray(ramp), "JPEG", exif=exif, **arguments))))
    assert output.getexif().get_ifd(0x8769)[0xA001] == expected


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_no_thumbnail_in_exif_survives(ramp: Levels, picture_format: str) -> None:
    thumbnail = Image.Exif()
    thumbnail[0x010F] = "Agfa"
    block = bytearray(thumbnail.tobytes())
    directory = bytes.fromhex("0002 0201 0004 00000001 00000000 0202 0004 00000001 00000004 00000000")
    end = 6 + 8 + 2 + 12
    block[end : end + 4] = (len(block) - 6).to_bytes(4, "big")
    data = saved(Image.fromarray(ramp).convert("RGB"), picture_format, exif=bytes(block) + directory)
    assert Image.open(io.BytesIO(data)).getexif().get_ifd(ExifTags.IFD.IFD1)[0x0202] == 4
    after = Image.open(io.BytesIO(coloured(data))).getexif()
    assert after[0x010F] == "Agfa"
    assert after.get_ifd(ExifTags.IFD.IFD1) == {}


def test_neither_the_index_of_an_mpo_nor_the_thumbnail_of_jfif_survives(ramp: Levels) -> None:
    grey = Image.fromarray(ramp)
    mpo = saved(grey, "MPO", save_all=True, append_images=[grey])
    extension = segment(0xE0, b"JFXX\0\x10" + saved(grey, "JPEG"))
    output = coloured(mpo[:20] + extension + mpo[20:])
    assert b"MPF\0" in mpo
    assert b"MPF\0" not in output
    assert b"JFXX" not in output
    assert output.count(b"\xff\xd8") == 1


@pytest.mark.parametrize("brand", [b"mp42", b"isom", b"qt  ", b"3gp4"])
def test_a_film_that_a_phone_appends_is_missed(ramp: Levels, brand: bytes) -> None:
    """Not all phones tell of it in XMP."""
    grey = saved(Image.fromarray(ramp), "JPEG")
    film = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0isommp42" + bytes(500)
    for before in (b"", b"MotionPhoto_Data"):
        assert decode(grey + before + film).warnings == ("a film behind the picture was dropped",)
    assert decode(grey + bytes(500)).warnings == ()
    assert decode(grey + grey).warnings == ()


@pytest.mark.parametrize("as_element", [False, True], ids=["attribute", "element"])
def test_the_address_of_the_credentials_of_the_source_is_dropped(*, as_element: bool) -> None:
    """Of a file that they do not belong to, readers would fetch them, and call it forged."""
    address = "https://cai.example/manifests/1"
    element = f"<dcterms:provenance>{address}</dcterms:provenance>"
    given = packet(elements=element) if as_element else packet(f'dcterms:provenance="{address}"')
    warnings: list[str] = []
    found = current_xmp(given, UPRIGHT, warnings)
    assert values(found).get("shelf") == "7/b"
    assert b"cai.example" not in found
    assert warnings == ["the address of Content Credentials, which are those of the source, was dropped"]
