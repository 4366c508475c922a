"""Certificates of load balancers: kept for their project alone, and checked before anybody needs them."""

import base64
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12
from cryptography.x509.oid import NameOID

from netloom.api.load_balancing import secrets
from tests.api.balancing import Hosts, balancing
from tests.api.client import Api, TestClient, authenticate


@pytest.fixture
def keys(store):
    return Api(TestClient(secrets.create_app(store, authenticate)), "member", "alpha")


@pytest.fixture(scope="module")
def made():
    """A key and its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "www.example.org")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    return key, builder.sign(key, hashes.SHA256())


@pytest.fixture(scope="module")
def pem(made):
    key, certificate = made
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (private + certificate.public_bytes(Encoding.PEM)).decode()


def test_a_secret_from_creation_to_deletion(keys, pem):
    ref = keys.post("/v1/secrets", {"name": "tls", "payload": pem})["secret_ref"]
    path = ref.removeprefix("http://testserver")
    assert keys.get(path)["name"] == "tls"
    assert [each["secret_ref"] for each in keys.get("/v1/secrets")["secrets"]] == [ref]
    assert keys.ask("GET", f"{path}/payload").text == pem
    for stranger in (keys.as_("member", "beta"), keys.as_("admin", "beta")):
        assert stranger.ask("GET", f"{path}/payload").status_code == 404
        assert stranger.ask("DELETE", path).status_code == 404
    assert keys.as_("reader").ask("GET", f"{path}/payload").status_code == 403
    assert keys.ask("GET", path, headers={"X-Auth-Token": "stranger:x"}).status_code == 401
    keys.delete(path)
    assert keys.ask("GET", path).status_code == 404


def test_clients_find_out_what_is_there(keys):
    (version,) = keys.ask("GET", "/").json()["versions"]["values"]
    assert keys.ask("GET", "/v1/", headers={}).json() == {"version": version}
    assert (version["id"], version["status"]) == ("v1", "stable")


def test_other_forms(keys, made, pem):
    key, certificate = made
    content = pkcs12.serialize_key_and_certificates(b"tls", key, certificate, None, NoEncryption())
    body = {"payload": base64.encodebytes(content).decode(), "payload_content_encoding": "base64"}
    ref = keys.post("/v1/secrets", body)["secret_ref"]
    assert keys.ask("GET", ref.removeprefix("http://testserver") + "/payload").text == pem
    keys.post("/v1/secrets", {"payload": certificate.public_bytes(Encoding.PEM).decode()})


@pytest.mark.parametrize("payload", ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(keys, payload):
    assert keys.ask("POST", "/v1/secrets", {"payload": payload}).status_code == 400
    assert keys.get("/v1/secrets")["secrets"] == []


def test_a_key_of_another_certificate_is_refused(keys, made):
    other = ec.generate_private_key(ec.SECP256R1())
    private = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    payload = (private + made[1].public_bytes(Encoding.PEM)).decode()
    answer = keys.ask("POST", "/v1/secrets", {"payload": payload})
    assert (answer.status_code, "PRIVATE" in answer.text) == (400, False)


def test_listeners_show_what_their_project_keeps(keys, alice, store, settings, policy, made, pem):
    hosts = Hosts(store, settings)
    hosts.come("one")
    lb = balancing(store, settings, policy)
    subnet = alice.subnet(alice.network()["id"])
    balancer = lb.make("loadbalancer", vip_subnet_id=subnet["id"])
    hosts.tell()
    ref = keys.post("/v1/secrets", {"payload": pem})["secret_ref"]
    foreign = keys.as_("member", "beta").post("/v1/secrets", {"payload": pem})["secret_ref"]
    bare = keys.post("/v1/secrets", {"payload": made[1].public_bytes(Encoding.PEM).decode()})["secret_ref"]
    body = {"protocol": "TERMINATED_HTTPS", "protocol_port": 443, "loadbalancer_id": balancer["id"]}
    for wrong in (foreign, bare):
        told = lb.refused(400, "POST", "listeners", {"listener": body | {"default_tls_container_ref": wrong}})
        assert wrong in told
        secure = {"protocol": "TERMINATED_HTTPS", "protocol_port": 443, "default_tls_container_ref": wrong}
        whole = {"vip_subnet_id": subnet["id"], "listeners": [secure]}
        assert wrong in lb.refused(400, "POST", "loadbalancers", {"loadbalancer": whole})
    assert len(lb.get("loadbalancers")["loadbalancers"]) == 1
    listener = lb.make("listener", **body, default_tls_container_ref=ref)
    assert listener["default_tls_container_ref"] == ref
    assert keys.ask("DELETE", ref.removeprefix("http://testserver")).status_code == 409
    hosts.tell()
    lb.delete(f"listeners/{listener['id']}")
    keys.delete(ref.removeprefix("http://testserver"))
