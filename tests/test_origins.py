"""Which names and origins a server answers to."""

import socket

import pytest

from ohlora_fast.errors import InputError
from ohlora_fast.origins import Origins

LOCAL = ["localhost", "localhost:7860", "127.0.0.1:7860", "[::1]:7860", "LOCALHOST:7860", "localhost."]
FOREIGN = [
    "evil.example",
    "127.0.0.1.nip.io",
    "localhost.evil.example",
    "192.168.0.7",
    "",
    "localhost:x",
    "a@localhost",
]


@pytest.mark.parametrize("host", LOCAL)
def test_this_machine_is_answered(host):
    assert Origins("127.0.0.1").answers_to(host)


@pytest.mark.parametrize("host", FOREIGN)
def test_other_names_are_not(host):
    assert not Origins("127.0.0.1").answers_to(host)
    assert not Origins("127.0.0.1", ["hair.example.org"]).answers_to(host)


def test_a_server_at_every_address_answers_to_addresses_and_its_own_name():
    origins = Origins("0.0.0.0")
    for host in ("192.168.0.7:7860", "[fe80::1]:7860", "localhost", f"{socket.gethostname()}:7860"):
        assert origins.answers_to(host)
    assert not origins.answers_to("evil.example")


def test_a_server_at_one_address_answers_to_that():
    assert Origins("192.168.0.7").answers_to("192.168.0.7:7860")
    assert not Origins("192.168.0.7").answers_to("192.168.0.8:7860")


def test_added_names_are_answered_and_their_origins_taken_behind_a_proxy():
    origins = Origins("127.0.0.1", ["Hair.example.org"])
    assert origins.refusal(["hair.example.org"], ["https://hair.example.org"]) is None
    assert origins.refusal(["127.0.0.1:7860"], ["https://hair.example.org"]) is None
    assert "origin" in origins.refusal(["127.0.0.1:7860"], ["https://evil.example"])


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:3000", "http://localhost", "file://localhost:7860", ""]
)
def test_other_origins_are_refused(origin):
    assert "origin" in Origins("127.0.0.1").refusal(["localhost:7860"], [origin])


def test_one_host_and_at_most_one_origin_is_expected():
    origins = Origins("127.0.0.1")
    assert origins.refusal([], [])
    assert origins.refusal(["localhost", "localhost"], [])
    assert origins.refusal(["localhost"], ["http://localhost", "http://localhost"])


def test_other_sites_may_link_to_the_page_and_no_more():
    origins = Origins("127.0.0.1")
    for site in ("cross-site", "same-site"):
        assert origins.refusal(["localhost"], [], site, entry=True) is None
        assert origins.refusal(["localhost"], [], site) == "requests from other sites are refused"
    for site in ("same-origin", "none", ""):
        assert origins.refusal(["localhost"], [], site) is None


def test_a_refusal_is_one_short_line_of_ascii():
    line = Origins("127.0.0.1").refusal(["\x1b[31m\n" + "ä" * 5000], [])
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 600


@pytest.mark.parametrize("name", ["http://a.example", "a.example:80", "a.example/x", "*", "", "a b"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(InputError, match="host name: got"):
        Origins("127.0.0.1", [name])
