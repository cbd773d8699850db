"""Folders with sidecars, hints and signatures at once: audited, and packaged."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bagit
import pytest
from batches import rows
from certificates import Chain, make_chain
from helpers import LocalJob, hinted_model
from lxml import etree
from PIL import Image

from colorbatch.job import Sidecars
from colorbatch.operations.audit import audit_batch
from colorbatch.operations.package import PackageJob, package_batch
from colorbatch.operations.sign import sign_batch
from colorbatch.records.retouch import RETOUCH_NAME
from colorbatch.run import batch

SCHEMA = Path(__file__).with_name("premis_as_used.xsd")
P = {"p": "http://www.loc.gov/premis/v3"}
SIDECARS = {"a.jpg.xmp": "Grandmother", "sub/b.xmp": "The mill"}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return make_chain(tmp_path_factory.mktemp("certificates"))


def sidecar(caption: str) -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
        f'photoshop:Headline="{caption}"/></rdf:RDF></x:xmpmeta>'
    ).encode()


@pytest.fixture
def job(tmp_path: Path) -> LocalJob:
    """Return a job with a picture of two pages, two sidecars and a hint."""
    (tmp_path / "in/sub").mkdir(parents=True)
    image = Image.linear_gradient("L").resize((40, 30))
    image.save(tmp_path / "in/a.jpg")
    image.save(tmp_path / "in/sub/b.png")
    image.save(tmp_path / "in/pages.tif", save_all=True, append_images=[image.rotate(180)])
    for name, caption in SIDECARS.items():
        (tmp_path / "in" / name).write_bytes(sidecar(caption))
    (tmp_path / "out").mkdir()
    line = {"schema": 1, "input": "a.jpg", "hints": [{"x": 0.5, "y": 0.5, "color": "#7a8b3c"}]}
    (tmp_path / "out" / RETOUCH_NAME).write_text(json.dumps(line) + "\n")
    model = tmp_path / "hinted.onnx"
    model.write_bytes(hinted_model().SerializeToString())
    return LocalJob(tmp_path / "in", tmp_path / "out", str(model), "cpu", sidecars="copy")


def package_of(job: LocalJob, folder: Path) -> PackageJob:
    return PackageJob(job.output, folder, sources=job.source, premis="job", iiif="https://archive.example/box")


@pytest.mark.parametrize(
    ("sidecars", "when"), [("copy", "afterwards"), ("merge", "in the run"), ("copy", "in the run")]
)
def test_everything_at_once_is_sound_in_the_folder_and_in_the_bag(
    sidecars: Sidecars, when: str, job: LocalJob, chain: Chain, tmp_path: Path
) -> None:
    job = replace(job, sidecars=sidecars, signing=chain.options if when == "in the run" else None)
    batch.run_batch(job)
    if when == "afterwards":
        before = rows(job.output)
        sign_batch(job.output, chain.options, job.source)
        kept = ("sidecars", "sidecars_sha256", "sidecars_etag", "sidecar_output", "sidecar_output_sha256")
        assert all(row[name] == before[key][name] for key, row in rows(job.output).items() for name in kept)
    found = package_batch(package_of(job, tmp_path / "bag"))
    assert (found.findings, found.outputs, found.sources) == ([], 3, 5)
    assert bagit.Bag(str(tmp_path / "bag")).validate()
    bag = tmp_path / "bag/data"
    for folder, source in ((job.output, job.source), (bag / "outputs", bag / "sources")):
        checked = audit_batch(folder, source, trust_anchors=chain.root)
        assert (checked.findings, checked.signatures) == ([], {"trusted": 2, "missing": 1})
    copies = {"a.jpg.xmp": "a.jpg.xmp", "sub/b.png.xmp": "sub/b.xmp"} if sidecars == "copy" else {}
    written = {path.relative_to(bag / "outputs").as_posix(): path for path in (bag / "outputs").rglob("*.xmp")}
    assert {name: path.read_bytes() for name, path in written.items()} == {
        copy: sidecar(SIDECARS[name]) for copy, name in copies.items()
    }
    manifests = [*(bag / "iiif").rglob("*.json")]
    assert manifests
    assert not any(b".xmp" in path.read_bytes() for path in manifests)


def relations(element: Any) -> set[tuple[str, str, str]]:  # noqa: ANN401 (lxml's)
    parts = ("relationshipType", "relationshipSubType", "relatedObjectIdentifier/p:relatedObjectIdentifierValue")
    return {
        (
            each.findtext(f"p:{parts[0]}", None, P),
            each.findtext(f"p:{parts[1]}", None, P),
            each.findtext(f"p:{parts[2]}", None, P),
        )
        for each in element.findall("p:relationship", P)
    }


@pytest.mark.parametrize("sidecars", ["copy", "merge"])
def test_premis_tells_of_sidecars_and_signatures(
    sidecars: Sidecars, job: LocalJob, chain: Chain, tmp_path: Path
) -> None:
    batch.run_batch(replace(job, sidecars=sidecars, signing=chain.options))
    package_batch(package_of(job, tmp_path / "bag"))
    tree = etree.parse(str(tmp_path / "bag/metadata/premis.xml"))
    schema = etree.XMLSchema(etree.parse(str(SCHEMA)))
    assert schema.validate(tree), schema.error_log
    root = tree.getroot()
    objects, known = {}, {}
    for each in root.findall("p:object", P):
        where = each.findtext("p:storage/p:contentLocation/p:contentLocationValue", None, P)
        objects[where], known[where] = each, each.findtext("p:objectIdentifier/p:objectIdentifierValue", None, P)
    scan, beside = "data/sources/sub/b.png", "data/sources/sub/b.xmp"
    output, copy = "data/outputs/sub/b.png", "data/outputs/sub/b.png.xmp"
    assert (copy in objects) == (sidecars == "copy")
    outcome = copy if sidecars == "copy" else output
    assert relations(objects[beside]) == {
        ("reference", "documents", known[scan]),
        ("derivation", "is source of", known[outcome]),
    }
    assert ("derivation", "has source", known[beside]) in relations(objects[outcome])
    if sidecars == "copy":
        assert ("reference", "documents", known[output]) in relations(objects[copy])
        assert ("reference", "is documented in", known[copy]) in relations(objects[output])
        for name in (copy, beside):
            assert objects[name].findtext(".//p:messageDigest", None, P) == (
                hashlib.sha256(sidecar("The mill")).hexdigest()
            )
            assert objects[name].findtext(".//p:size", None, P) == str(len(sidecar("The mill")))
    assert objects[beside].findtext(".//p:formatName", None, P) == "Extensible Metadata Platform (XMP)"
    for link in ("linkingObjectIdentifierValue", "relatedObjectIdentifierValue"):
        assert {each.text for each in root.iterfind(f".//p:{link}", P)} <= set(known.values())
    events = root.findall("p:event", P)
    signed = [each for each in events if each.findtext("p:eventType", None, P) == "digital signature generation"]
    claims = {str(row["c2pa"]) for row in rows(job.output).values() if row["c2pa"]}
    assert len(claims) == 2  # of three: a file of several pages cannot be signed
    assert {each.findtext(".//p:eventDetail", None, P).rpartition(" ")[2] for each in signed} == claims
    key = "sidecar_copied" if sidecars == "copy" else "sidecars_merged"
    assert sum(key in each.findtext(".//p:eventDetail", None, P) for each in events) == 2


@pytest.mark.parametrize("signs", ["sign", "run"])
def test_a_later_signature_does_not_change_when_the_colors_were_made(
    signs: str, job: LocalJob, chain: Chain, tmp_path: Path
) -> None:
    batch.run_batch(job)
    made = {name: row["finished_at"] for name, row in rows(job.output).items() if row["status"] == "done"}
    for _ in range(2):  # the second one finds them signed
        if signs == "sign":
            sign_batch(job.output, chain.options, job.source)
        else:
            batch.run_batch(replace(job, signing=chain.options))
        found = {name: row for name, row in rows(job.output).items() if row["c2pa"] is not None}
        assert set(found) == {"a.jpg", "sub/b.png"}
        assert all(row["colored_at"] == made[name] != row["finished_at"] for name, row in found.items())
    package_batch(package_of(job, tmp_path / "bag"))
    root = etree.parse(str(tmp_path / "bag/metadata/premis.xml")).getroot()
    times: dict[str, set[str]] = {"colorization": set(), "digital signature generation": set()}
    for event in root.findall("p:event", P):
        times[event.findtext("p:eventType", None, P)].add(event.findtext("p:eventDateTime", None, P))
    assert times["colorization"] == set(made.values())
    assert times["digital signature generation"] == {row["finished_at"] for row in found.values()}
    created = {each.text for each in root.iterfind(".//p:dateCreatedByApplication", P)}
    assert created == set(made.values())


@pytest.mark.parametrize("is_given", [False, True], ids=["all listed", "those that are missing listed"])
def test_sidecars_whose_hash_is_known_can_be_fetched(is_given: bool, job: LocalJob, tmp_path: Path) -> None:  # noqa: FBT001
    batch.run_batch(job)
    (tmp_path / "few").mkdir()
    sources = tmp_path / "few" if is_given else None
    package = PackageJob(job.output, tmp_path / "bag", sources=sources, sources_url="https://a.example/box")
    found = package_batch(package)
    assert (found.findings, found.to_fetch) == ([], 5)
    lines = (tmp_path / "bag/fetch.txt").read_text().splitlines()
    assert f"https://a.example/box/sub/b.xmp {len(sidecar('The mill'))} data/sources/sub/b.xmp" in lines
    for name in ("a.jpg", "a.jpg.xmp", "pages.tif", "sub/b.png", "sub/b.xmp"):  # as whoever fetches them does
        target = tmp_path / "bag/data/sources" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((job.source / name).read_bytes())
    assert bagit.Bag(str(tmp_path / "bag")).validate()


@pytest.mark.parametrize("sidecars", ["copy", "merge"])
def test_a_picture_and_its_sidecars_are_in_one_bag(sidecars: Sidecars, job: LocalJob, tmp_path: Path) -> None:
    image = Image.effect_noise((60, 50), 60)
    for name in ("m.png", "m.png-1.png", "m.tiff.png", "z.png"):  # of which some come between a picture and its sidecar
        image.save(job.source / name)
    (job.source / "m.png.xmp").write_bytes(sidecar("A boat"))
    (job.source / "z.xmp").write_bytes(sidecar("A tree"))
    (job.output / RETOUCH_NAME).unlink()
    batch.run_batch(replace(job, sidecars=sidecars))
    package_batch(PackageJob(job.output, tmp_path / "bags", sources=job.source, bag_size=20_000))
    bags = sorted(path for path in (tmp_path / "bags").iterdir() if path.is_dir())
    assert len(bags) > 2
    seen = 0
    for each in bags:
        assert bagit.Bag(str(each)).validate()
        assert audit_batch(each / "data/outputs", each / "data/sources").findings == []
        named = [str(name) for row in rows(each / "data/outputs").values() for name in row["sidecars"]]  # type: ignore[attr-defined]
        assert all((each / "data/sources" / name).exists() for name in named)
        seen += len(named)
    assert seen == 4


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)


def lead_elsewhere(path: Path) -> None:
    path.rename(path.parents[2] / "kept.xmp")
    path.symlink_to(path.parents[2] / "kept.xmp")


def lead_beside(path: Path) -> None:
    path.rename(path.parent / "kept.xmp")
    path.symlink_to("kept.xmp")


@pytest.mark.parametrize("form", ["zip", "linked"])
@pytest.mark.parametrize(
    ("fault", "audited", "packaged"),
    [
        (flip, "the copy of its sidecar, sub/b.png.xmp, was altered or cannot be read", "it was altered after"),
        (os.remove, "the copy of its sidecar, sub/b.png.xmp, is not there", "it is not there"),
        (lead_elsewhere, "it is a link, not the file that the run wrote", "it is a link"),
        (lead_beside, "it is a link, not the file that the run wrote", "it is a link"),
    ],
    ids=["flipped", "deleted", "link elsewhere", "link beside"],
)
def test_faults_of_copies_of_sidecars_are_found(
    fault: Callable[[Path], None], audited: str, packaged: str, form: str, job: LocalJob, tmp_path: Path
) -> None:
    batch.run_batch(job)
    fault(job.output / "sub/b.png.xmp")
    assert audited in [found.problem for found in audit_batch(job.output).findings]
    is_zip = form == "zip"
    place = tmp_path / ("bag.zip" if is_zip else "bag")
    findings = package_batch(PackageJob(job.output, place, "zip" if is_zip else "bagit", link=not is_zip)).findings
    assert any(found.path.endswith("sub/b.png.xmp") and packaged in found.problem for found in findings)
    assert not (tmp_path / "bag/bagit.txt").exists()
    assert not (tmp_path / "bag.zip").exists()


def test_an_output_that_was_replaced_by_a_link_is_found(job: LocalJob) -> None:
    batch.run_batch(job)
    lead_elsewhere(job.output / "sub/b.png")
    assert "it is a link, not the file that the run wrote" in [x.problem for x in audit_batch(job.output).findings]


def test_a_sidecar_of_a_scan_that_was_changed_or_is_gone_is_found(job: LocalJob, tmp_path: Path) -> None:
    batch.run_batch(job)
    flip(job.source / "sub/b.xmp")
    (found,) = package_batch(PackageJob(job.output, tmp_path / "bag", sources=job.source)).findings
    assert (found.path, found.problem) == ("sources/sub/b.xmp", "it was altered after the manifest was written")
    (job.source / "sub/b.xmp").unlink()
    (found,) = package_batch(PackageJob(job.output, tmp_path / "other", sources=job.source)).findings
    assert (found.path, found.problem) == ("sub/b.xmp", "the sidecar cannot be read: it is not there")
