"""A certificate authority of the simulator's own, and a server certificate from it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from conductor.core import clock

CA_DAYS, SERVER_DAYS = 3650, 365
CA_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Conductor simulator CA")])
SERVER_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Conductor simulator")])


@dataclass(frozen=True, slots=True)
class Files:
    """Where the certificates are: `ca` to trust, the other two for the server."""

    ca: Path
    certificate: Path
    key: Path


def make(directory: Path, names: Sequence[str]) -> Files:
    """Write a server certificate for these host names and addresses. A CA found in the directory is used again."""
    directory.mkdir(parents=True, exist_ok=True)
    ca_key, ca = _authority(directory)
    key = ec.generate_private_key(ec.SECP256R1())
    files = Files(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    files.certificate.write_bytes(_pem(_server(ca_key, ca, key, names)))
    _write_key(files.key, key)
    return files


def _authority(directory: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key_file, file = directory / "ca.key", directory / "ca.pem"
    if key_file.exists() and file.exists():
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key, x509.load_pem_x509_certificate(file.read_bytes())
    made = ec.generate_private_key(ec.SECP256R1())
    certificate = _ca(made)
    _write_key(key_file, made)
    file.write_bytes(_pem(certificate))
    return made, certificate


def _ca(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    builder = _builder(CA_NAME, CA_NAME, key.public_key(), CA_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    return builder.sign(key, hashes.SHA256())


def _server(
    ca_key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, key: ec.EllipticCurvePrivateKey, names: Sequence[str]
) -> x509.Certificate:
    builder = _builder(SERVER_NAME, ca.subject, key.public_key(), SERVER_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return builder.add_extension(issuer, critical=False).sign(ca_key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    start = clock.now() - timedelta(days=1)
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(start + timedelta(days=days))
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    file.touch(mode=0o600)
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
