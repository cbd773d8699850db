"""What is signed, as the library's own reader finds it, and which certificates and keys are refused."""

import io
import json
import os
import pickle
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import c2pa
import numpy as np
import pytest
import tifffile
from certificates import Chain, make_chain
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ObjectIdentifier
from PIL import Image

from colorbatch.environment import KEY_VARIABLE
from colorbatch.errors import EnvironmentFailure, UnsignableError, UsageError
from colorbatch.formats import decode, encode
from colorbatch.formats.credentials import credentials_of
from colorbatch.formats.mark import Origin
from colorbatch.formats.signer import Signer

SLOPE = np.tile(np.linspace(20, 230, 96).astype(np.uint8), (64, 1))
TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
ORIGIN = Origin("scans/a.jpg", "ab" * 32, "default", "cd" * 32, "ef" * 32, "compositeWithTrainedAlgorithmicMedia")
MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "TIFF": "image/tiff", "WEBP": "image/webp"}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return make_chain(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def signer(chain: Chain) -> Signer:
    return Signer(chain.options)


def coded(kind: str, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.fromarray(SLOPE).convert(mode).save(file, kind)
    return file.getvalue()


def report_of(content: bytes, kind: str) -> dict[str, Any]:
    with c2pa.Reader(MEDIA_TYPES[kind], io.BytesIO(content)) as reader:
        report: dict[str, Any] = json.loads(reader.json())
    return report


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_the_claim_says_which_model_coloured_which_source(kind: str, signer: Signer) -> None:
    signed = signer.signed(coded(kind), "out/a", replace(ORIGIN, hints=3), coded("JPEG", "L"))
    report = report_of(signed.content, kind)
    failures = report["validation_results"]["activeManifest"]["failure"]
    assert {each["code"] for each in failures} <= {"signingCredential.untrusted"}
    assert report["active_manifest"] == signed.claim
    claim = report["manifests"][signed.claim]
    assert claim["title"] == "out/a"
    (parent,) = claim["ingredients"]
    assert parent["relationship"] == "parentOf"
    assert (parent["title"], parent["instance_id"]) == ("scans/a.jpg", f"sha256:{'ab' * 32}")
    (actions,) = [each["data"]["actions"] for each in claim["assertions"] if each["label"].startswith("c2pa.actions")]
    assert [each["action"] for each in actions] == ["c2pa.opened", "c2pa.edited", "c2pa.color_adjustments"]
    assert actions[0]["parameters"]["ingredients"][0]["url"].endswith("c2pa.ingredient.v3")
    assert actions[1]["digitalSourceType"] == TYPE
    assert actions[1]["parameters"]["org.pypi.colorbatch.model_sha256"] == "cd" * 32
    assert actions[1]["parameters"]["org.pypi.colorbatch.model"] == "default"
    assert actions[2]["digitalSourceType"].endswith("/humanEdits")
    assert actions[2]["parameters"] == {"org.pypi.colorbatch.hints": 3}


def test_without_hints_no_person_adjusted_colours(signer: Signer) -> None:
    signed = signer.signed(coded("PNG"), "a.png", ORIGIN)
    assert "color_adjustments" not in json.dumps(report_of(signed.content, "PNG"))


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_nothing_else_in_the_file_changes(kind: str, signer: Signer) -> None:
    content = coded(kind)
    signed = signer.signed(content, "a", ORIGIN).content
    with Image.open(io.BytesIO(content)) as before, Image.open(io.BytesIO(signed)) as after:
        np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
    (plain,), (ours,) = (decode(each).frames for each in (content, signed))
    np.testing.assert_array_equal(plain.pixels, ours.pixels)
    assert encode(decode(signed)) == encode(decode(content))  # no trace of the claim, which would be broken there


def test_a_jpeg_without_its_app11_segments_is_the_one_before(signer: Signer) -> None:
    content = coded("JPEG")
    signed, rest = signer.signed(content, "a", ORIGIN).content, b""
    position = 2
    while signed[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(signed[position + 2 : position + 4], "big")
        rest += b"" if signed[position + 1] == 0xEB else signed[position:end]
        position = end
    assert signed[:2] + rest + signed[position:] == content


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["<", ">", "big"])
def test_a_tiff_keeps_its_bytes_but_those_of_its_directory(kind: str, bits: int, signer: Signer) -> None:
    file = io.BytesIO()
    pixels = np.stack([SLOPE] * 3, -1).astype(np.uint16 if bits == 16 else np.uint8)
    order: Literal[">", "<"] = ">" if kind == ">" else "<"
    tifffile.imwrite(file, pixels, bigtiff=kind == "big", byteorder=order, photometric="rgb", metadata=None)
    signed = signer.signed(file.getvalue(), "a.tif", ORIGIN).content
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(signed)), pixels)
    assert pixels.astype(f"{order}u{bits // 8}").tobytes() in signed


def test_a_flipped_byte_is_found(signer: Signer) -> None:
    for kind in MEDIA_TYPES:
        signed = bytearray(signer.signed(coded(kind), "a", ORIGIN).content)
        pixels = signed.rindex(coded(kind)[-40:-20])
        signed[pixels] ^= 1
        assert credentials_of(bytes(signed)).state == "broken"


def test_the_credentials_of_a_source_are_kept(signer: Signer) -> None:
    first = signer.signed(coded("JPEG", "L"), "scan.jpg", replace(ORIGIN, source_name="negative.tif"))
    second = signer.signed(coded("PNG"), "coloured.png", ORIGIN, first.content)
    report = report_of(second.content, "PNG")
    assert set(report["manifests"]) == {first.claim, second.claim}
    (parent,) = report["manifests"][second.claim]["ingredients"]
    assert parent["active_manifest"] == first.claim
    assert report["manifests"][first.claim]["ingredients"][0]["title"] == "negative.tif"


def test_a_source_with_broken_credentials_does_not_break_those_of_the_output(signer: Signer, chain: Chain) -> None:
    broken = bytearray(signer.signed(coded("JPEG", "L"), "scan.jpg", ORIGIN).content)
    broken[-30] ^= 1
    signed = signer.signed(coded("PNG"), "coloured.png", ORIGIN, bytes(broken))
    assert credentials_of(signed.content, chain.root.read_text()).state == "trusted"
    assert "assertion.dataHash.mismatch" in json.dumps(report_of(signed.content, "PNG"))


@pytest.mark.parametrize("source", [b"", b"BM" + bytes(90), coded("JPEG2000"), coded("PNG")[:60]])
def test_a_source_of_another_kind_is_stated_by_name_and_hash(source: bytes, signer: Signer) -> None:
    signed = signer.signed(coded("PNG"), "a.png", ORIGIN, source)
    (parent,) = report_of(signed.content, "PNG")["manifests"][signed.claim]["ingredients"]
    assert (parent["title"], parent["instance_id"]) == ("scans/a.jpg", f"sha256:{'ab' * 32}")


def test_what_would_harm_other_readers_is_not_signed(signer: Signer) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, np.stack([SLOPE, SLOPE]), photometric="minisblack", metadata=None)
    with pytest.raises(UnsignableError, match="one more page in a TIFF of several"):
        signer.signed(file.getvalue(), "a.tif", ORIGIN)
    with pytest.raises(UnsignableError, match="a file of this format"):
        signer.signed(coded("JPEG2000"), "a.jp2", ORIGIN)


def test_the_page_without_pixels_of_a_signed_source_is_no_page(chain: Chain) -> None:
    """Signed by others, a TIFF of several pages has one with nothing but the claim."""
    file = io.BytesIO()
    tifffile.imwrite(file, np.stack([SLOPE, SLOPE]), photometric="minisblack", metadata=None)
    info = c2pa.C2paSignerInfo("es256", *pem_of(chain), None)
    signed = io.BytesIO()
    with c2pa.Signer.from_info(info) as other, c2pa.Builder({"assertions": []}) as builder:
        builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.PRINT)
        builder.sign(other, "image/tiff", io.BytesIO(file.getvalue()), signed)
    assert len(tifffile.TiffFile(io.BytesIO(signed.getvalue())).pages) == 3
    picture = decode(signed.getvalue())
    assert len(picture.frames) == 2
    np.testing.assert_array_equal(picture.frames[1].pixels, SLOPE)


def pem_of(chain: Chain) -> tuple[bytes, bytes]:
    plain = chain.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (chain.folder / "chain.pem").read_bytes(), plain


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o610])
def test_a_key_that_others_can_read_is_refused(mode: int, tmp_path: Path) -> None:
    other = make_chain(tmp_path)
    (tmp_path / "key.pem").chmod(mode)
    with pytest.raises(UsageError, match=f"others can read or change .*key.pem: its mode is {mode:04o}"):
        Signer(other.options)


def test_the_key_may_be_in_the_environment(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    without = replace(chain.options, key=None)
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(UsageError, match="no private key"):
        Signer(without)
    monkeypatch.setenv(KEY_VARIABLE, (chain.folder / "key.pem").read_text())
    assert credentials_of(Signer(without).signed(coded("PNG"), "a", ORIGIN).content).state == "valid"


def test_a_function_may_hold_the_key(chain: Chain) -> None:
    def sign(data: bytes) -> bytes:
        return chain.key.sign(data, ec.ECDSA(hashes.SHA256()))

    signer = Signer(replace(chain.options, key=sign))
    assert credentials_of(signer.signed(coded("JPEG"), "a", ORIGIN).content, chain.root.read_text()).state == "trusted"


def test_certificates_that_cannot_sign_are_refused_at_once(chain: Chain, tmp_path: Path) -> None:
    expired = make_chain(tmp_path / "expired", days=-1)
    with pytest.raises(UsageError, match=r"valid from .* only: .*Signer"):
        Signer(expired.options)
    other = make_chain(tmp_path / "other")
    with pytest.raises(UsageError, match="does not belong to the certificate"):
        Signer(replace(chain.options, key=other.folder / "key.pem"))
    server = make_chain(tmp_path / "server", usage=ObjectIdentifier("1.3.6.1.5.5.7.3.1"))
    with pytest.raises(UsageError, match="cannot sign"):
        Signer(server.options)


def test_files_that_are_no_chain_or_key_are_refused(chain: Chain, tmp_path: Path) -> None:
    text = tmp_path / "text.pem"
    text.write_text("not a certificate")
    text.chmod(0o600)
    with pytest.raises(UsageError, match="no certificate chain"):
        Signer(replace(chain.options, certificate=text))
    with pytest.raises(UsageError, match="no private key"):
        Signer(replace(chain.options, key=text))
    with pytest.raises(UsageError, match="cannot read the certificate chain"):
        Signer(replace(chain.options, certificate=tmp_path / "none.pem"))
    text.write_bytes(chain.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")))
    with pytest.raises(UsageError, match="is encrypted"):
        Signer(replace(chain.options, key=text))


def test_a_time_stamp_authority_that_does_not_answer_is_found_at_once(chain: Chain) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://somebody:word@127.0.0.1:{closed.getsockname()[1]}/tsa"
        with pytest.raises(EnvironmentFailure, match="gives no time stamp") as raised:
            Signer(replace(chain.options, tsa=address))
        assert "word" not in str(raised.value)


def test_the_key_cannot_leave_the_process(signer: Signer, chain: Chain) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(signer)
    secret = "".join((chain.folder / "key.pem").read_text().splitlines()[1:-1])[20:60]
    assert secret not in repr(vars(chain.options)) + repr(signer)


def test_the_anchors_decide_what_is_trusted(signer: Signer, chain: Chain, tmp_path: Path) -> None:
    signed = signer.signed(coded("JPEG"), "a", ORIGIN)
    others = make_chain(tmp_path).root.read_text()
    assert credentials_of(coded("JPEG")).state == "missing"
    assert (credentials_of(signed.content).state, credentials_of(signed.content).claim) == ("valid", signed.claim)
    assert credentials_of(signed.content, chain.root.read_text()).state == "trusted"
    assert credentials_of(signed.content, others).state == "untrusted"
    assert credentials_of(signed.content[:-20], chain.root.read_text()).state == "broken"
    assert credentials_of(coded("JPEG2000")).state == "missing"
