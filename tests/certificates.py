"""Certificates made in the tests: a root, an intermediate, and the certificate of a signer, with its key."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from colorbatch.job import SignOptions


@dataclass(frozen=True)
class Chain:
    """Files of a certificate chain."""

    folder: Path
    key: ec.EllipticCurvePrivateKey

    @property
    def options(self) -> SignOptions:
        return SignOptions(self.folder / "chain.pem", self.folder / "key.pem")

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("--sign-cert", str(self.folder / "chain.pem"), "--sign-key", str(self.folder / "key.pem"))


def make_chain(folder: Path, *, days: float = 100, usage: x509.ObjectIdentifier | None = None) -> Chain:
    """Write ``root.pem``, ``chain.pem`` and ``key.pem``.

    Args:
        folder: to write into.
        days: from now until the signer's certificate expires; negative: it has.
        usage: extended key usage of the signer; ``None``: that for documents, as public authorities give.

    """
    folder.mkdir(parents=True, exist_ok=True)
    root_key, middle_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = _certificate("Root", root_key, "Root", root_key)
    middle = _certificate("Intermediate", middle_key, "Root", root_key)
    leaf = _certificate("Signer", key, "Intermediate", middle_key, usage or ExtendedKeyUsageOID.EMAIL_PROTECTION, days)
    (folder / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    (folder / "chain.pem").write_bytes(leaf.public_bytes(Encoding.PEM) + middle.public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    (folder / "key.pem").chmod(0o600)
    return Chain(folder, key)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    usage: x509.ObjectIdentifier | None = None,
    days: float = 100,
) -> x509.Certificate:
    is_authority = usage is None
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=200))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_authority,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=is_authority,
                crl_sign=is_authority,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if usage is not None:
        is_alone = usage == ExtendedKeyUsageOID.TIME_STAMPING  # RFC 3161, section 2.3
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=is_alone)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A Library"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )
