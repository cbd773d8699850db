"""Time stamps of a real authority (RFC 3161): openssl behind a server on loopback."""

import http.server
import io
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import c2pa
import pytest
from certificates import make_chain
from cryptography.x509.oid import ExtendedKeyUsageOID
from helpers import wait_until
from PIL import Image
from typing_extensions import override

from colorbatch.errors import EnvironmentFailure
from colorbatch.formats.credentials import credentials_of
from colorbatch.formats.mark import Origin
from colorbatch.formats.signer import Signer

ORIGIN = Origin("a.jpg", "0" * 64, "default", "0" * 64, "", "compositeWithTrainedAlgorithmicMedia")
OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="needs openssl")
END = "-----END CERTIFICATE-----\n"
SETTINGS = """
[tsa]
default_tsa = here
[here]
serial = {0}/serial
signer_cert = {0}/leaf.pem
certs = {0}/chain.pem
signer_key = {0}/key.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
"""


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[str]:
    """Return the address of a time-stamp authority."""
    folder = make_chain(tmp_path / "authority", usage=ExtendedKeyUsageOID.TIME_STAMPING).folder
    (folder / "leaf.pem").write_text((folder / "chain.pem").read_text().partition(END)[0] + END)
    (folder / "serial").write_text("01\n")
    (folder / "settings").write_text(SETTINGS.format(folder))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (folder / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            command: list[str | Path] = [
                str(OPENSSL),
                "ts",
                "-reply",
                "-config",
                folder / "settings",
                "-queryfile",
                folder / "query",
            ]
            subprocess.run([*command, "-out", folder / "reply"], check=True, capture_output=True)
            reply = (folder / "reply").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        @override
        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def picture() -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, "JPEG")
    return file.getvalue()


def test_a_signature_has_the_time_of_the_authority(authority: str, tmp_path: Path) -> None:
    chain = make_chain(tmp_path / "signer")
    signed = Signer(replace(chain.options, tsa=authority)).signed(picture(), "a.jpg", ORIGIN)
    with c2pa.Reader("image/jpeg", io.BytesIO(signed.content)) as reader:
        report = json.loads(reader.json())
    assert report["manifests"][signed.claim]["signature_info"]["time"].startswith(time.strftime("%Y-", time.gmtime()))
    codes = {each["code"] for each in report["validation_results"]["activeManifest"]["success"]}
    assert "timeStamp.validated" in codes


def test_an_answer_that_is_no_time_stamp_is_found_at_once(authority: str, tmp_path: Path) -> None:
    chain = make_chain(tmp_path / "signer")
    (tmp_path / "authority" / "serial").unlink()
    (tmp_path / "authority" / "settings").write_text(SETTINGS.format(tmp_path / "nowhere"))
    with pytest.raises(EnvironmentFailure, match="gives no time stamp"):
        Signer(replace(chain.options, tsa=authority))


@pytest.mark.slow
def test_a_time_stamp_outlives_the_certificate(authority: str, tmp_path: Path) -> None:
    chain = make_chain(tmp_path / "signer", days=3 / 86_400)
    root = chain.root.read_text()
    plain = Signer(chain.options).signed(picture(), "a.jpg", ORIGIN).content
    stamped = Signer(replace(chain.options, tsa=authority)).signed(picture(), "a.jpg", ORIGIN).content
    assert [credentials_of(each, root).state for each in (plain, stamped)] == ["trusted", "trusted"]
    anchors = root + (tmp_path / "authority" / "root.pem").read_text()
    wait_until(lambda: credentials_of(plain, anchors).state == "untrusted")
    assert credentials_of(stamped, anchors).state == "trusted"
