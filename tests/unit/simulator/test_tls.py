from __future__ import annotations

import ipaddress
import stat

import pytest
from cryptography import x509

from conductor.simulator import tls


@pytest.fixture
def made(tmp_path):
    return tls.make(tmp_path / "ca", ["acme.localhost", "127.0.0.1", "::1"])


def load(file):
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_the_server_certificate_is_for_the_names_and_from_the_ca(made):
    certificate = load(made.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["acme.localhost"]
    addresses = [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    assert names.get_values_for_type(x509.IPAddress) == addresses
    certificate.verify_directly_issued_by(load(made.ca))


def test_only_the_ca_may_sign(made):
    def constraints(file):
        return load(file).extensions.get_extension_for_class(x509.BasicConstraints).value.ca

    assert (constraints(made.ca), constraints(made.certificate)) == (True, False)


def test_keys_are_for_the_owner_only(made):
    for file in (made.key, made.ca.with_suffix(".key")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_ca_found_is_used_again(made):
    ca = made.ca.read_bytes()
    again = tls.make(made.ca.parent, ["other.localhost"])
    assert again.ca.read_bytes() == ca
    load(again.certificate).verify_directly_issued_by(load(again.ca))
