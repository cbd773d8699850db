import hashlib
import io
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import bagit
import numpy as np
import pytest
from finished import done_row, finished_folder
from helpers import CommandLine
from jsonschema import Draft202012Validator
from PIL import Image

from colorbatch.errors import UsageError
from colorbatch.formats import mark
from colorbatch.operations.package import PackageJob, package_batch
from colorbatch.operations.package.tiles import files_of, information
from colorbatch.records.manifest import MANIFEST_NAME

BASE = "https://pictures.example/box 7/".replace(" ", "%20")
SCHEMA = Draft202012Validator(json.loads(Path(__file__).with_name("iiif_as_used.json").read_bytes()))
"""Rebuilt as far as used: see its comment."""


def image_bytes(kind: str, size: tuple[int, int], mode: str = "L", *others: Image.Image) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, Any] = {"save_all": True, "append_images": others} if others else {}
    gradient = Image.linear_gradient("L").resize(size)
    whole = gradient if mode == "L" else Image.merge("RGB", [gradient, gradient.rotate(180), gradient])
    whole.save(buffer, kind, **options)
    return buffer.getvalue()


def pictures(root: Path, names: Mapping[str, str], size: tuple[int, int] = (90, 70)) -> tuple[Path, Path]:
    """Write grey scans and coloured outputs of some names and formats; return both folders."""
    finished_folder(root, dict.fromkeys(names, b""))
    rows = []
    for name, kind in names.items():
        scan, output = image_bytes(kind, size), image_bytes(kind, size, "RGB")
        (root / "in" / name).write_bytes(scan)
        (root / "out" / name).write_bytes(output)
        rows.append(done_row(name, scan, output, width=size[0], height=size[1], settings_sha256="2" * 64))
    (root / "out" / MANIFEST_NAME).write_bytes(b"".join(row.to_json() for row in rows))
    return root / "in", root / "out"


def parsed(path: Path) -> Any:  # noqa: ANN401 (JSON)
    """Return a document that the schema accepts."""
    found = json.loads(path.read_bytes())
    assert [each.message for each in SCHEMA.iter_errors(found)] == []
    return found


def file_of(package: Path, url: str) -> Path:
    """Return the file that a web server would send, if the package is published at its address."""
    assert url.startswith(BASE)
    return package / unquote(urlsplit(url).path).removeprefix("/box 7/")


def manifests(package: Path) -> list[Any]:
    """Return the manifests that the collection lists."""
    return [parsed(file_of(package, each["id"])) for each in parsed(package / "iiif/collection.json")["items"]]


def bodies(manifest: Any) -> Iterator[Any]:  # noqa: ANN401
    for canvas in manifest["items"]:
        yield canvas["items"][0]["items"][0]["body"]


def test_each_canvas_shows_a_choice_of_original_and_coloured_picture(tmp_path: Path) -> None:
    names = {"a.jpg": "JPEG", "sub/no. 5 #ü?.png": "PNG"}
    scans, out = pictures(tmp_path, names)
    package_batch(PackageJob(out, tmp_path / "bag", sources=scans, iiif=BASE))
    assert bagit.Bag(str(tmp_path / "bag")).validate()
    found = manifests(tmp_path / "bag/data")
    assert [each["label"]["none"] for each in found] == [["out"], ["sub"]]
    for manifest, name in zip(found, names, strict=True):
        (body,) = bodies(manifest)
        assert body["type"] == "Choice"
        assert [each["label"]["en"] for each in body["items"]] == [
            ["Original scan"],
            ["Coloured by a model: not an original"],
        ]
        for image, folder in zip(body["items"], (scans, out), strict=True):
            path = file_of(tmp_path / "bag/data", image["id"])
            assert path.read_bytes() == (folder / name).read_bytes()
            with Image.open(path) as shown:
                assert (image["width"], image["height"]) == shown.size
                assert image["format"] == shown.get_format_mimetype()
        assert "were made by a model" in manifest["requiredStatement"]["value"]["en"][0]


def test_a_copy_is_shown_as_the_original_alone(tmp_path: Path) -> None:
    scans, out = pictures(tmp_path, {"a.jpg": "JPEG"})
    scan = (scans / "a.jpg").read_bytes()
    (out / "a.jpg").write_bytes(scan)
    (out / MANIFEST_NAME).write_bytes(done_row("a.jpg", scan, scan, digital_source_type=None).to_json())
    package_batch(PackageJob(out, tmp_path / "to", "plain", scans, iiif=BASE))
    (body,) = bodies(manifests(tmp_path / "to")[0])
    assert (body["type"], body["label"]["en"]) == ("Image", ["Original scan"])


def test_scans_elsewhere_are_shown_from_there(tmp_path: Path) -> None:
    _, out = pictures(tmp_path, {"a.jpg": "JPEG"})
    package_batch(PackageJob(out, tmp_path / "to", "plain", sources_url="https://scans.example/7", iiif=BASE))
    (body,) = bodies(manifests(tmp_path / "to")[0])
    assert [each["id"] for each in body["items"]] == ["https://scans.example/7/a.jpg", f"{BASE}outputs/a.jpg"]


def test_what_browsers_do_not_show_is_warned_of(tmp_path: Path) -> None:
    scans, out = pictures(tmp_path, {"a.tif": "TIFF", "b.jpg": "JPEG"})
    found = package_batch(PackageJob(out, tmp_path / "to", "plain", scans, iiif=BASE))
    assert found.warnings == ["scans in a format that browsers do not show: 1; give --iiif-tiles"]


def test_tiles_make_every_picture_visible(tmp_path: Path) -> None:
    scans, out = pictures(tmp_path, {"a.tif": "TIFF"}, (700, 520))
    found = package_batch(PackageJob(out, tmp_path / "to", "plain", scans, iiif=BASE, iiif_tiles=True))
    assert found.warnings == []
    (body,) = bodies(manifests(tmp_path / "to")[0])
    kinds = []
    for image in body["items"]:
        with Image.open(file_of(tmp_path / "to", image["id"])) as shown:
            assert (image["format"], shown.size) == ("image/jpeg", (image["width"], image["height"]))
            kinds.append(mark.digital_source_type(shown.info.get("xmp", b"")))
        told = parsed(file_of(tmp_path / "to", image["service"][0]["id"] + "/info.json"))
        assert (told["id"], told["width"], told["height"]) == (image["service"][0]["id"], 700, 520)
    assert kinds == ["", "compositeWithTrainedAlgorithmicMedia"]


def test_a_file_with_several_pages_has_a_manifest_of_its_own(tmp_path: Path) -> None:
    scans, out = pictures(tmp_path, {"sub/pages.tif": "TIFF", "sub/one.jpg": "JPEG"})
    second = Image.new("L", (40, 130), 128)
    data = [image_bytes("TIFF", (90, 70), mode, second.convert(mode)) for mode in ("L", "RGB")]
    for folder, each in zip((scans, out), data, strict=True):
        (folder / "sub/pages.tif").write_bytes(each)
    one = [(folder / "sub/one.jpg").read_bytes() for folder in (scans, out)]
    rows = [done_row("sub/one.jpg", *one), done_row("sub/pages.tif", *data, frames=2, settings_sha256="2" * 64)]
    (out / MANIFEST_NAME).write_bytes(b"".join(row.to_json() for row in rows))
    package_batch(PackageJob(out, tmp_path / "to", "plain", scans, iiif=BASE, iiif_tiles=True))
    folder, pages = manifests(tmp_path / "to")
    assert [each["label"]["none"] for each in (folder, pages)] == [["sub"], ["sub/pages.tif"]]
    assert [(each["label"]["none"], each["width"], each["height"]) for each in pages["items"]] == [
        (["pages.tif, 1"], 90, 70),
        (["pages.tif, 2"], 40, 130),
    ]


@pytest.mark.parametrize("size", [(1, 1), (512, 512), (513, 1), (1300, 900), (1025, 2049)])
def test_tiles_are_those_that_a_viewer_asks_for_and_make_up_the_picture(size: tuple[int, int]) -> None:
    """What a viewer asks for: OpenSeadragon 5, IIIFTileSource.getTileUrl, with the canonical form of the Image API."""
    image = Image.linear_gradient("L").resize(size)
    files = dict(files_of(image, b""))
    told = json.loads(information("https://x.example/1", *size))
    assert [each.message for each in SCHEMA.iter_errors(told)] == []
    wanted = set()
    (tiles,) = told["tiles"]
    for factor in tiles["scaleFactors"]:
        width, height = math.ceil(size[0] / factor), math.ceil(size[1] / factor)
        assert {"width": width, "height": height} in told["sizes"]
        whole = f"full/{'max' if factor == 1 else f'{width},{height}'}/0/default.jpg"
        wanted.add(whole)
        level = np.asarray(Image.open(io.BytesIO(files[whole])), int)
        assert level.shape == (height, width)
        for x in range(math.ceil(width / tiles["width"])):
            for y in range(math.ceil(height / tiles["width"])):
                left, top = x * tiles["width"] * factor, y * tiles["width"] * factor
                across, down = (min(tiles["width"] * factor, each) for each in (size[0] - left, size[1] - top))
                to = [min(tiles["width"], each - n * tiles["width"]) for each, n in ((width, x), (height, y))]
                if (across, down) == size:
                    continue  # the whole, in canonical form
                name = f"{left},{top},{across},{down}/{to[0]},{to[1]}/0/default.jpg"
                wanted.add(name)
                tile = np.asarray(Image.open(io.BytesIO(files[name])), int)
                part = level[y * 512 : y * 512 + to[1], x * 512 : x * 512 + to[0]]
                assert tile.shape == part.shape
                assert np.abs(tile - part).max() < 12  # both are JPEGs
    assert set(files) == wanted


def test_tiles_are_made_of_sound_files_only(tmp_path: Path) -> None:
    scans, out = pictures(tmp_path, {"a.jpg": "JPEG", "b.jpg": "JPEG"})
    (scans / "b.jpg").write_bytes(image_bytes("JPEG", (90, 71)))
    found = package_batch(PackageJob(out, tmp_path / "to", "plain", scans, iiif=BASE, iiif_tiles=True))
    assert [(each.path, each.problem) for each in found.findings] == [
        ("b.jpg", "it was altered after the manifest was written")
    ]


def test_16_bits_are_shown_with_all_their_tones() -> None:
    from colorbatch.operations.package.tiles import image_of
    from colorbatch.pixels.picture import Frame

    assert np.asarray(image_of(Frame(np.array([[0, 257, 65535]], np.uint16)))).tolist() == [[0, 1, 255]]


def test_a_zip_holds_the_same(tmp_path: Path) -> None:
    scans, out = pictures(tmp_path, {"a.jpg": "JPEG"})
    for form, name in (("bagit", "bag"), ("zip", "bag.zip")):
        job = PackageJob(out, tmp_path / name, form, scans, iiif=BASE, iiif_tiles=True)  # type: ignore[arg-type]
        package_batch(job)
    shutil.unpack_archive(tmp_path / "bag.zip", tmp_path / "unpacked")
    assert bagit.Bag(str(tmp_path / "unpacked/bag")).validate()
    digests = [
        {
            path.relative_to(bag).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in bag.rglob("*")
            if path.is_file()
        }
        for bag in (tmp_path / "bag", tmp_path / "unpacked/bag")
    ]
    assert digests[0] == digests[1]


def test_what_a_viewer_could_not_show_is_refused(tmp_path: Path, command_line: CommandLine) -> None:
    _, out = pictures(tmp_path, {"a.jpg": "JPEG"})
    assert command_line("package", "-q", out, tmp_path / "to", "--iiif", BASE) == 2
    assert (
        command_line("package", "-q", out, tmp_path / "to", "--iiif", BASE, "--iiif-tiles", "--sources-url", BASE) == 2
    )
    assert command_line("package", "-q", out, tmp_path / "to", "--bagit", "--iiif-tiles") == 2
    with pytest.raises(UsageError, match="not one bag of several"):
        PackageJob(out, tmp_path / "to", iiif=BASE, sources=tmp_path, bag_size=10**9)
    assert not (tmp_path / "to").exists()
