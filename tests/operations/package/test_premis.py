import hashlib
import io
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bagit
import pytest
from finished import done_row, finished_folder
from helpers import CommandLine
from lxml import etree
from PIL import Image, PngImagePlugin

from colorbatch.operations.package import PackageJob, package_batch
from colorbatch.operations.package.contents import Holding
from colorbatch.operations.package.file_format import UNKNOWN, format_of_file
from colorbatch.operations.package.premis import Described, document
from colorbatch.pixels.hint import Hint
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.records.retouch import RETOUCH_NAME, Retouch, RetouchLine
from colorbatch.records.row import Row
from colorbatch.store.local import LocalStore

SCHEMA = Path(__file__).with_name("premis_as_used.xsd")
"""Rebuilt as far as used. Against the official one, documents were validated by hand: see its first lines."""
P = {"p": "http://www.loc.gov/premis/v3"}


def parsed(path: Path) -> Any:  # noqa: ANN401 (lxml's)
    """Return a document that the schema accepts."""
    tree = etree.parse(str(path))
    schema = etree.XMLSchema(etree.parse(str(SCHEMA)))
    assert schema.validate(tree), schema.error_log
    return tree


def texts(element: Any, path: str) -> list[str]:  # noqa: ANN401
    return [each.text for each in element.findall("/".join(f"p:{part}" for part in path.split("/")), P)]


def written(folder: Path, rows: list[Row]) -> None:
    (folder / MANIFEST_NAME).write_bytes(b"".join(row.to_json() for row in rows))


def image_bytes(name: str, **options: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(buffer, name, **options)
    return buffer.getvalue()


def test_a_picture_is_described_as_the_data_dictionary_asks(tmp_path: Path) -> None:
    output = image_bytes("JPEG")
    scans, out = finished_folder(tmp_path, {"sub/a.jpg": output})
    (scans / "sub/a.jpg").write_bytes(scan := image_bytes("WEBP", lossless=True))
    settings = {"vividness": 0.4}
    line = RetouchLine("sub/a.jpg", hints=(Hint(0.5, 0.5, "#7a8b3c"),))
    (out / RETOUCH_NAME).write_bytes(line.to_json())
    said = Retouch((line,))
    written(
        out, [done_row("sub/a.jpg", scan, output, settings=settings, warnings=("a note",), retouch_sha256=said.sha256)]
    )
    package_batch(PackageJob(out, tmp_path / "described", "plain", scans, premis="job", retouched_by="Ada Müller"))
    root = parsed(tmp_path / "described/premis.xml").getroot()
    source, derivative = root.findall("p:object", P)
    (event,) = root.findall("p:event", P)
    assert texts(source, "originalName") == ["sub/a.jpg"]
    assert texts(source, "objectCharacteristics/fixity/messageDigest") == [hashlib.sha256(scan).hexdigest()]
    assert texts(source, "objectCharacteristics/size") == [str(len(scan))]
    key = "objectCharacteristics/format/formatRegistry/formatRegistryKey"
    assert (texts(source, key), texts(derivative, key)) == (["fmt/567"], ["fmt/43"])
    assert texts(derivative, "objectCharacteristics/fixity/messageDigest") == [hashlib.sha256(output).hexdigest()]
    assert texts(derivative, "storage/contentLocation/contentLocationValue") == ["outputs/sub/a.jpg"]
    assert texts(event, "eventType") == ["colorization"]
    assert texts(event, "eventDateTime") == ["2026-03-01T21:14:09+00:00"]
    assert texts(event, "eventOutcomeInformation/eventOutcome") == ["success"]
    assert texts(event, "eventOutcomeInformation/eventOutcomeDetail/eventOutcomeDetailNote") == ["a note"]
    (detail,) = texts(event, "eventDetailInformation/eventDetail")
    assert json.loads(detail[detail.index("{") :])["settings"] == settings
    agents = {
        name: (kind, value)
        for name, kind, value in zip(
            *(
                texts(root, f"agent/{each}")
                for each in ("agentName", "agentType", "agentIdentifier/agentIdentifierValue")
            ),
            strict=True,
        )
    }
    assert agents == {
        "colorbatch": ("software", "colorbatch 0.1.0"),
        "default": ("software", "0" * 64),
        "Ada Müller": ("person", "person: Ada Müller"),
    }


def test_every_link_leads_to_what_is_in_the_document(tmp_path: Path) -> None:
    _, out = finished_folder(tmp_path, {"a.jpg": b"one", "b.jpg": b"two"})
    package_batch(PackageJob(out, tmp_path / "described", "plain", premis="job"))
    root = parsed(tmp_path / "described/premis.xml").getroot()
    identified = {
        kind: set(texts(root, f"{kind}/{kind}Identifier/{kind}IdentifierValue"))
        for kind in ("object", "event", "agent")
    }
    assert [len(identified[kind]) for kind in ("object", "event", "agent")] == [4, 2, 2]
    for kind, known in identified.items():
        for link in (f"linking{kind.title()}Identifier", f"related{kind.title()}Identifier"):
            assert {each.text for each in root.iterfind(f".//p:{link}Value", P)} <= known
    for source, derivative in zip(*[iter(root.findall("p:object", P))] * 2, strict=True):
        (own,) = texts(source, "objectIdentifier/objectIdentifierValue")
        assert texts(derivative, "relationship/relationshipSubType") == ["has source"]
        assert texts(derivative, "relationship/relatedObjectIdentifier/relatedObjectIdentifierValue") == [own]


def test_what_failed_is_told_and_what_was_skipped_is_not(tmp_path: Path) -> None:
    _, out = finished_folder(tmp_path, {"a.jpg": b"one", "copy.jpg": b"grey two"})
    rows = [
        done_row("a.jpg", b"grey one", b"one"),
        done_row("copy.jpg", b"grey two", b"grey two", model_sha256=None, reason="copied: it is in colour"),
        Row(
            "broken.jpg", status="failed", reason="truncated", finished_at="2026-03-01T21:14:10+00:00", version="0.1.0"
        ),
        Row("notes.txt", status="skipped", reason="not a picture"),
    ]
    written(out, rows)
    package_batch(PackageJob(out, tmp_path / "described", "plain", premis="picture"))
    names = {path.relative_to(tmp_path / "described").as_posix() for path in (tmp_path / "described").rglob("*.xml")}
    assert names == {"premis/a.jpg.xml", "premis/copy.jpg.xml", "premis/broken.jpg.xml"}
    failed = parsed(tmp_path / "described/premis/broken.jpg.xml").getroot()
    assert texts(failed, "event/eventOutcomeInformation/eventOutcome") == ["failure"]
    assert texts(failed, "object/originalName") == ["broken.jpg"]
    copied = parsed(tmp_path / "described/premis/copy.jpg.xml").getroot()
    assert texts(copied, "event/eventType") == ["replication"]
    assert texts(copied, "object/objectCharacteristics/creatingApplication/creatingApplicationName") == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_hostile_names_give_sound_xml(tmp_path: Path) -> None:
    names = ("<&\"'>.jpg", "a\x01b.jpg", os.fsdecode(b"\xff.jpg"), "line\nbreak\r.jpg", "ü\u2028.jpg")
    _, out = finished_folder(tmp_path, {name: name.encode("utf-8", "surrogateescape") for name in names})
    for unit in ("job", "picture"):
        package_batch(PackageJob(out, tmp_path / unit, "plain", premis=unit))
    found = texts(parsed(tmp_path / "job/premis.xml").getroot(), "object/originalName")
    assert set(found) == {"<&\"'>.jpg", "a\\x01b.jpg", "\\udcff.jpg", "line\nbreak\r.jpg", "ü\u2028.jpg"}
    assert len([parsed(path) for path in (tmp_path / "picture").rglob("*.xml")]) == len(names)


def test_a_bag_holds_its_provenance_and_stays_valid(tmp_path: Path, command_line: CommandLine) -> None:
    scans, out = finished_folder(tmp_path, {"a.jpg": b"one", "sub/b.jpg": b"two"})
    bag = tmp_path / "bag"
    assert command_line("package", "-q", out, bag, "--bagit", "--premis", "job", "--with-sources", scans) == 0
    assert bagit.Bag(str(bag)).validate()
    root = parsed(bag / "metadata/premis.xml").getroot()
    for path in texts(root, "object/storage/contentLocation/contentLocationValue"):
        assert (bag / path).is_file()
    assert "metadata/premis.xml" in (bag / "tagmanifest-sha256.txt").read_text()


def test_the_config_file_for_bags_does_not_disturb_descriptions(
    tmp_path: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "colorbatch.toml").write_text('[package]\nbag-info = ["Contact-Name=A"]\nbag-size = "1kB"\n')
    _, out = finished_folder(tmp_path, {"a.jpg": b"one"})
    assert command_line("package", "-q", out, "described", "--premis", "job") == 0
    assert [path.name for path in (tmp_path / "described").iterdir()] == ["premis.xml"]


def test_scans_that_stay_away_have_their_address(tmp_path: Path) -> None:
    _, out = finished_folder(tmp_path, {"a.jpg": b"one"})
    package_batch(PackageJob(out, tmp_path / "bag", sources_url="https://x.example", premis="job"))
    root = parsed(tmp_path / "bag/metadata/premis.xml").getroot()
    assert texts(root, "object/storage/contentLocation/contentLocationValue") == [
        *("https://x.example/a.jpg", "data/outputs/a.jpg"),
    ]


def test_the_schema_refuses_another_order(tmp_path: Path) -> None:
    _, out = finished_folder(tmp_path, {"a.jpg": b"one"})
    package_batch(PackageJob(out, tmp_path / "described", "plain", premis="job"))
    tree = parsed(tmp_path / "described/premis.xml")
    tree.getroot().append(tree.getroot().find("p:event", P))
    assert not etree.XMLSchema(etree.parse(str(SCHEMA))).validate(tree)


def test_the_same_folder_has_the_same_identifiers(tmp_path: Path) -> None:
    _, out = finished_folder(tmp_path, {"a.jpg": b"one"})
    for name in ("one", "two"):
        package_batch(PackageJob(out, tmp_path / name, "plain", premis="job"))
    assert (tmp_path / "one/premis.xml").read_bytes() == (tmp_path / "two/premis.xml").read_bytes()


def test_a_large_document_is_never_in_memory_as_a_whole() -> None:
    rows = [done_row(f"{number}.jpg", b"one", b"two") for number in range(800)]
    parts = list(document([Described(Holding(row, row.input, None, None), UNKNOWN, UNKNOWN) for row in rows], "", None))
    assert len(parts) > 2
    assert max(map(len, parts)) < 2 * 2**20
    assert len(etree.fromstring(b"".join(parts)).findall("p:object", P)) == 1600


def with_text() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "x")
    return info


def jfif(minor: int) -> bytes:
    data = image_bytes("JPEG")
    assert data[6:13] == b"JFIF\0\1\1"
    return data[:12] + bytes([minor]) + data[13:]


def exif(version: bytes) -> bytes:
    tiff = b"II*\0" + struct.pack("<IHHHI4sI", 8, 1, 0x9000, 7, 4, version, 0)
    body = b"Exif\0\0" + tiff
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(body) + 2) + body + image_bytes("JPEG")[20:]


FORMATS: Mapping[str, tuple[bytes, str]] = {
    "jfif_1_00.jpg": (jfif(0), "fmt/42"),
    "jfif_1_01.jpg": (jfif(1), "fmt/43"),
    "jfif_1_02.jpg": (jfif(2), "fmt/44"),
    "exif_2_1.jpg": (exif(b"0210"), "x-fmt/390"),
    "exif_2_2.jpg": (exif(b"0220"), "x-fmt/391"),
    "exif_2_21.jpg": (exif(b"0221"), "fmt/645"),
    "exif_2_31.jpg": (exif(b"0231"), "fmt/1507"),
    "raw.jpg": (b"\xff\xd8" + image_bytes("JPEG")[20:], "fmt/41"),
    "1_0.png": (image_bytes("PNG"), "fmt/11"),
    "1_1.png": (image_bytes("PNG", icc_profile=b"x" * 200_000), "fmt/12"),
    "1_2.png": (image_bytes("PNG", icc_profile=b"x" * 200_000, pnginfo=with_text()), "fmt/13"),
    "lossy.webp": (image_bytes("WEBP"), "fmt/566"),
    "lossless.webp": (image_bytes("WEBP", lossless=True), "fmt/567"),
    "extended.webp": (image_bytes("WEBP", xmp=b"<x/>"), "fmt/568"),
    "plain.tif": (image_bytes("TIFF"), "fmt/353"),
    "raw.nef": (image_bytes("TIFF"), ""),
    "big.tif": (b"II\x2b\0\x08\0\0\0" + bytes(8), ""),
    "89a.gif": (image_bytes("GIF")[:3] + b"89a" + image_bytes("GIF")[6:], "fmt/4"),
    "part_1.jp2": (image_bytes("JPEG2000"), "x-fmt/392"),
    "nothing.jpg": (b"nothing", ""),
}
"""Files, and what the signatures of PRONOM call them; fido finds the same in all that are not empty here."""


@pytest.mark.parametrize("name", FORMATS)
def test_formats_have_the_identifiers_of_pronom(tmp_path: Path, name: str) -> None:
    data, puid = FORMATS[name]
    (tmp_path / name).write_bytes(data)
    assert format_of_file(LocalStore(tmp_path), name).puid == puid
