"""Sign outputs: Content Credentials (C2PA), made by the library of the standard's authors, never by code of our own."""

import io
import json
import os
import stat
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from colorbatch.environment import KEY_VARIABLE
from colorbatch.errors import EnvironmentFailure, UnsignableError, UsageError, reason_of
from colorbatch.extras import needs_extra
from colorbatch.formats.credentials import media_type_of, settings_of
from colorbatch.formats.mark import SOURCE_TYPES, Origin
from colorbatch.formats.tiff_directory import layout_of, pages_of
from colorbatch.job import SignOptions
from colorbatch.location import without_secrets
from colorbatch.text import printable
from colorbatch.version import __version__

if TYPE_CHECKING:
    import c2pa
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

_OTHER_FORMAT = "Content Credentials cannot be put into a file of this format"
_SEVERAL_PAGES = "Content Credentials would be one more page in a TIFF of several, at which other programs fail"
UNSUPPORTED = (_OTHER_FORMAT, _SEVERAL_PAGES)
"""Messages of errors that a signer raises at formats that cannot be signed."""
_PARENT = "source"
"""Name of the ingredient within the definition of a claim."""
_PARAMETERS = "org.pypi.colorbatch."
"""Prefix of our own parameters of actions."""
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
"""Algorithms of elliptic curves (C2PA specification 2.2)."""
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Signed:
    """A signed file."""

    content: bytes
    claim: str
    """Identifier of its claim: the label of its manifest."""


class Signer:
    """A certificate chain with its private key. May be used from several threads; it cannot be pickled."""

    def __init__(self, options: SignOptions) -> None:
        """Read chain and key, and make a trial signature, with a time stamp if one is wanted.

        Raises:
            UsageError: chain or key cannot be read, do not belong together, have expired or cannot sign.
            MissingExtraError: the package c2pa-python is not installed.
            EnvironmentFailure: the time-stamp authority does not answer.

        """
        with needs_extra("c2pa"):
            import c2pa
            from cryptography.hazmat.primitives.serialization import Encoding
            from cryptography.x509 import load_pem_x509_certificates
        self._c2pa = c2pa
        self.strict = options.strict
        self._tsa = options.tsa
        chain = _read(options.certificate, "certificate chain")
        try:
            certificates = load_pem_x509_certificates(chain)
        except ValueError as error:
            raise UsageError(
                f"{options.certificate} is no certificate chain in PEM",
                advice="It is text that begins with -----BEGIN CERTIFICATE-----: the certificate of the signer, "
                "followed by those of its issuers.",
            ) from error
        _refuse_expired(certificates, options.certificate)
        self._chain = b"".join(each.public_bytes(Encoding.PEM) for each in certificates).decode()  # and no key beside
        self._algorithm = _algorithm_of(certificates[0])
        self._callback = options.key if callable(options.key) else None
        self._key = "" if callable(options.key) else _key_of(certificates[0], options.key)
        self._try()

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a private key never leaves this process."""
        raise TypeError("a signer cannot be pickled: its key stays in this process")

    def signed(self, content: bytes, title: str, origin: Origin, source: bytes | None = None) -> Signed:
        """Return a picture file with a signed claim; nothing else in it is changed.

        Args:
            content: the finished file.
            title: its name.
            origin: how it was made.
            source: the file that it was made from, whose own credentials become those of the parent; ``None``: only
                its name and its hash are stated.

        Raises:
            UnsignableError: the library does not support the format, or the signature could not be made.

        """
        media_type = media_type_of(content)
        if media_type is None:
            raise UnsignableError(_OTHER_FORMAT)
        if media_type == "image/tiff" and len(pages_of(content, layout_of(content))) > 1:
            raise UnsignableError(_SEVERAL_PAGES)
        claim = f"urn:c2pa:{uuid.uuid4()}"
        try:
            return Signed(self._embedded(content, media_type, _definition(claim, title, origin), origin, source), claim)
        except self._c2pa.C2paError as error:
            raise UnsignableError(f"the signature could not be made: {error}") from error

    def _embedded(
        self, content: bytes, media_type: str, definition: Mapping[str, object], origin: Origin, source: bytes | None
    ) -> bytes:
        signed = io.BytesIO()
        with (
            self._c2pa.Context.from_dict(settings_of()) as context,
            self._signer() as signer,
            self._builder(context, definition, _parent_of(origin), source) as builder,
        ):
            builder.sign(signer, media_type, io.BytesIO(content), signed)
        return signed.getvalue()

    def _builder(
        self, context: "c2pa.Context", definition: Mapping[str, object], parent: Mapping[str, str], source: bytes | None
    ) -> "c2pa.Builder":
        """Return the builder of a claim whose parent is the source, with its own credentials if they can be read."""
        media_type = None if source is None else media_type_of(source)
        if source is not None and media_type is not None:
            builder = self._c2pa.Builder(json.dumps(definition), context=context)
            try:
                builder.add_ingredient(json.dumps(parent), media_type, io.BytesIO(source))
            except self._c2pa.C2paError:
                builder.close()
            else:
                return builder
        return self._c2pa.Builder(json.dumps({**definition, "ingredients": [parent]}), context=context)

    def _signer(self) -> "c2pa.Signer":
        if self._callback is not None:
            algorithm = self._c2pa.C2paSigningAlg[self._algorithm.upper()]
            return self._c2pa.Signer.from_callback(self._callback, algorithm, self._chain, self._tsa)
        return self._c2pa.Signer.from_info(
            self._c2pa.C2paSignerInfo(self._algorithm, self._chain.encode(), self._key.encode(), self._tsa)
        )

    def _try(self) -> None:
        """Sign a small picture.

        Raises:
            UsageError: chain and key cannot sign.
            EnvironmentFailure: the time-stamp authority does not answer.

        """
        trial = Origin("trial", "0" * 64, "trial", "0" * 64, "", "compositeWithTrainedAlgorithmicMedia")
        tsa, self._tsa = self._tsa, None
        try:
            self.signed(_trial_picture(), "trial", trial)
        except UnsignableError as error:
            raise UsageError(
                f"the certificate and its key cannot sign: {error.__cause__}",
                advice="The certificate needs the key usage digitalSignature and an extended key usage for signing, "
                "and the chain its issuers; docs/content-credentials.md says more.",
            ) from error
        self._tsa = tsa
        if tsa is None:
            return
        try:
            self.signed(_trial_picture(), "trial", trial)
        except UnsignableError as error:
            raise EnvironmentFailure(
                without_secrets(f"the time-stamp authority {printable(tsa)} gives no time stamp: {error.__cause__}"),
                advice="Check its address and the network, or leave --tsa out.",
            ) from error


def _definition(claim: str, title: str, origin: Origin) -> Mapping[str, object]:
    """Return what is claimed of an output (C2PA specification 2.2)."""
    tool = {"name": "colorbatch", "version": __version__}
    actions: list[dict[str, object]] = [
        {"action": "c2pa.opened", "parameters": {"ingredientIds": [_PARENT]}},
        {
            "action": "c2pa.edited",
            "digitalSourceType": SOURCE_TYPES + origin.digital_source_type,
            "softwareAgent": tool,
            "description": "A model added colours to the source.",
            "parameters": {
                f"{_PARAMETERS}model": printable(origin.model),
                f"{_PARAMETERS}model_sha256": origin.model_sha256,
            },
        },
    ]
    if origin.hints:
        actions.append(
            {
                "action": "c2pa.color_adjustments",
                "digitalSourceType": f"{SOURCE_TYPES}humanEdits",
                "softwareAgent": tool,
                "description": "A person said which colours are right in some places.",
                "parameters": {f"{_PARAMETERS}hints": origin.hints},
            }
        )
    return {
        "label": claim,
        "title": printable(title),
        "claim_generator_info": [tool],
        "assertions": [{"label": "c2pa.actions", "data": {"actions": actions}}],
    }


def _parent_of(origin: Origin) -> dict[str, str]:
    """Return the ingredient that the source is; its hash is where the XMP of the output has it, and in words."""
    sha256 = f"sha256:{origin.source_sha256}"
    return {
        "title": printable(origin.source_name),
        "relationship": "parentOf",
        "label": _PARENT,
        "instance_id": sha256,
        "description": f"The picture that was coloured, {sha256}",
    }


def _trial_picture() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


def _read(path: Path, name: str) -> bytes:
    """Return the content of a file.

    Raises:
        UsageError: it cannot be read.

    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the {name} {path}: {reason_of(error)}") from error


def _refuse_expired(certificates: Sequence["Certificate"], path: Path) -> None:
    now = datetime.now(timezone.utc)
    for each in certificates:
        if not each.not_valid_before_utc <= now <= each.not_valid_after_utc:
            raise UsageError(
                f"a certificate in {path} is valid from {each.not_valid_before_utc:%Y-%m-%d} to "
                f"{each.not_valid_after_utc:%Y-%m-%d} only: {printable(each.subject.rfc4514_string())}",
                advice="Renew it, or check the clock of this machine.",
            )


def _algorithm_of(certificate: "Certificate") -> str:
    """Return the algorithm of the signatures of a certificate.

    Raises:
        UsageError: its kind of key is not one of Content Credentials.

    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPublicKey):
        return "ps256"
    raise UsageError(
        "the kind of key of the certificate cannot sign Content Credentials",
        advice="Use one for EC P-256, P-384 or P-521, Ed25519, or RSA.",
    )


def _key_of(certificate: "Certificate", path: Path | None) -> str:
    """Return the private key of a certificate in PKCS #8.

    Raises:
        UsageError: it cannot be read, others can read it, or it belongs to another certificate.

    """
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key, name = _private_key(path)
    raw = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*raw) != certificate.public_key().public_bytes(*raw):
        raise UsageError(
            f"the private key in {name} does not belong to the certificate",
            advice="The first certificate in the chain must be that of the key.",
        )
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def _private_key(path: Path | None) -> tuple["PrivateKeyTypes", str]:
    """Return the private key, and where it is.

    Raises:
        UsageError: there is none, it cannot be read, or others can read it.

    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if path is None:
        pem, name = os.environ.get(KEY_VARIABLE, "").encode(), KEY_VARIABLE
        if not pem:
            raise UsageError(
                "there is no private key to sign with",
                advice=f"Give its file with --sign-key, or the key in the environment variable {KEY_VARIABLE}.",
            )
    else:
        _refuse_readable_by_others(path)
        pem, name = _read(path, "private key"), str(path)
    try:
        return load_pem_private_key(pem, None), name
    except TypeError as error:
        raise UsageError(
            f"the private key in {name} is encrypted",
            advice=f"Decrypt it into the environment variable {KEY_VARIABLE}, or in Python sign by a function.",
        ) from error
    except ValueError:
        raise UsageError(f"{name} holds no private key in PEM") from None  # its text might quote the key


def _refuse_readable_by_others(path: Path) -> None:
    if os.name != "posix":
        return
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(f"cannot read the private key {path}: {reason_of(error)}") from error
    if mode & _OPEN_TO_OTHERS:
        raise UsageError(
            f"others can read or change the private key {path}: its mode is {stat.S_IMODE(mode):04o}",
            advice=f"Run: chmod 600 {path}",
        )
