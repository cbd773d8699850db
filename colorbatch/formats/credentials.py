"""Read and validate the Content Credentials (C2PA) of a file, by the library of the standard's authors."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from colorbatch.errors import UsageError, reason_of
from colorbatch.extras import needs_extra
from colorbatch.formats.kinds import SNIFFED, sniff

SignatureState = Literal["trusted", "valid", "untrusted", "broken", "missing"]
"""``trusted``: intact, and the certificate leads to one of the trust anchors; ``valid``: intact, and no trust anchors
were given; ``untrusted``: intact, but the certificate does not lead to one, or has expired without a time stamp;
``broken``: the file was altered after it was signed, or its credentials are damaged; ``missing``: it has none."""
_MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
    "HEIF": "image/heif",
}
"""Media types of the kinds of pictures that the library supports."""
_NOT_ANCHORED = frozenset({"signingCredential.untrusted"})
_OF_TRUST = _NOT_ANCHORED | {
    "signingCredential.expired",
    "signingCredential.invalid",
    "signingCredential.ocsp.revoked",
    "claimSignature.outsideValidity",
}
"""Status codes of failures that concern the certificate, not the file (C2PA specification 2.2)."""


@dataclass(frozen=True)
class Credentials:
    """What the Content Credentials of a file are worth."""

    state: SignatureState
    claim: str | None = None
    """Identifier of the newest claim; ``None``: there is none, or it cannot be read."""
    problem: str = ""
    """Why they are ``untrusted`` or ``broken``."""


def media_type_of(content: bytes) -> str | None:
    """Return the media type of a file that can hold Content Credentials; ``None``: the library does not support it."""
    kind = sniff(content[:SNIFFED])
    return None if kind is None else _MEDIA_TYPES.get(kind.name)


def settings_of(anchors: str | None = None) -> dict[str, Any]:
    """Return settings of the library by which it never uses the network to read, and makes no thumbnails."""
    return {
        "version": 1,
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
        "builder": {"thumbnail": {"enabled": False}},
        **({} if anchors is None else {"trust": {"user_anchors": anchors}}),
    }


def read_anchors(path: Path) -> str:
    """Return the trust anchors in a file of certificates.

    Raises:
        UsageError: it cannot be read, or holds no certificates.
        MissingExtraError: the package c2pa-python is not installed.

    """
    with needs_extra("c2pa"):
        import c2pa  # noqa: F401 (whether it is there)
        from cryptography.x509 import load_pem_x509_certificates
    try:
        content = path.read_bytes()
        load_pem_x509_certificates(content)
    except OSError as error:
        raise UsageError(f"cannot read the trust anchors {path}: {reason_of(error)}") from error
    except ValueError as error:
        raise UsageError(
            f"{path} holds no certificates in PEM", advice="It is text that begins with -----BEGIN CERTIFICATE-----."
        ) from error
    return content.decode("ascii", "replace")


def credentials_of(content: bytes, anchors: str | None = None) -> Credentials:
    """Return what the Content Credentials of a file are worth. Nothing is fetched from the network.

    Args:
        content: the file.
        anchors: trusted certificates in PEM; ``None``: whether the certificate is to be trusted is not judged.

    Raises:
        MissingExtraError: the package c2pa-python is not installed.

    """
    with needs_extra("c2pa"):
        import c2pa
    media_type = media_type_of(content)
    if media_type is None:
        return Credentials("missing")
    try:
        with c2pa.Context.from_dict(settings_of(anchors)) as context:
            reader = c2pa.Reader.try_create(media_type, io.BytesIO(content), context=context)
            if reader is None:
                return Credentials("missing")
            with reader:
                return _judged(json.loads(reader.json()), has_anchors=anchors is not None)
    except c2pa.C2paError as error:
        return Credentials("broken", problem=str(error))


def _judged(report: Mapping[str, Any], *, has_anchors: bool) -> Credentials:
    """Judge a report of the library; failures of the source's own credentials are not those of the output."""
    claim = report["active_manifest"]
    failures = report.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    codes = {each["code"] for each in failures}
    problem = "; ".join(sorted({str(each.get("explanation") or each["code"]) for each in failures}))
    if codes - _OF_TRUST:
        return Credentials("broken", claim, problem)
    if codes - _NOT_ANCHORED or (codes and has_anchors):
        return Credentials("untrusted", claim, problem)
    return Credentials("trusted" if has_anchors else "valid", claim)
