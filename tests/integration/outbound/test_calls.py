"""What happens on the wire; the addresses alone are judged in tests/unit/integrations/outbound."""

import gzip
import ssl
import time
import zlib

import httpx
import pytest

from integrations.outbound.addresses import LOOPBACK, network
from integrations.outbound.client import OutboundTransport, outbound_client
from integrations.outbound.errors import OutboundRefused, OutboundTooLarge
from integrations.outbound.rules import Purpose, Rules
from tests.integration.outbound.servers import certificates, plain, server

RULES = Rules(Purpose.LABEL_STUDIO, LOOPBACK, max_bytes=1_000_000)
SECRET = "Token canary-secret-0123456789"


class Names:
    """A resolver that answers the next list at each question, and the last one from then on."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host, port):
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


HERE = ["127.0.0.1"]


def client(url, *, rules=RULES, names=None, timeout_s=2.0, **more):
    return outbound_client(rules, origin=url, resolver=names or Names(HERE), timeout_s=timeout_s, **more)


def test_the_host_keeps_its_name_and_the_connection_its_checked_address():
    with server(plain()) as there, client(there.url()) as http:
        assert http.get(there.url()).text == "hello"
    assert f"Host: labels.test:{there.port}".encode() in there.asked[0]


def test_a_name_is_resolved_once_a_connection():
    names = Names(HERE, ["10.0.0.1"])
    with server(plain()) as there, client(there.url(), names=names) as http:
        for _ in range(3):
            http.get(there.url())
    assert names.asked == 1


def test_rebinding_between_check_and_connect_finds_nothing_to_rebind():
    # The first answer is dialled; the name is not asked again on the way to the socket.
    names = Names(HERE, ["127.0.0.2"])
    with server(plain()) as there, client(there.url(), names=names) as http:
        assert http.get(there.url()).status_code == 200
    assert names.asked == 1


def test_rebinding_before_the_next_connection_is_refused():
    names = Names(HERE, ["169.254.169.254"])
    with server(plain(b"x", "Connection: close")) as there, client(there.url(), names=names) as http:
        assert http.get(there.url()).status_code == 200
        with pytest.raises(OutboundRefused) as caught:
            http.get(there.url())
    assert caught.value.rule == "address"
    assert len(there.asked) == 1


@pytest.mark.parametrize(
    "answers", [["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["127.0.0.1", "fe80::1"]]
)
def test_mixed_answers_reach_nobody(answers):
    with server(plain()) as there, client(there.url(), names=Names(answers)) as http:
        with pytest.raises(OutboundRefused):
            http.get(there.url())
    assert there.asked == []


def test_an_address_that_does_not_answer_gives_way_to_the_next():
    with server(plain()) as there, client(there.url(), names=Names(["::1", "127.0.0.1"])) as http:
        assert http.get(there.url()).status_code == 200


def test_a_name_without_address_is_a_connect_error():
    def nobody(host, port):
        raise OSError("no such name")

    with (
        client("http://labels.test/", names=nobody) as http,
        pytest.raises(httpx.ConnectError, match="resolved"),
    ):
        http.get("http://labels.test/")


def test_a_resolver_that_hangs_ends_in_time():
    def hangs(host, port):
        time.sleep(5)
        return HERE

    began = time.monotonic()
    with (
        client("http://labels.test/", names=hangs, timeout_s=0.3) as http,
        pytest.raises(httpx.ConnectTimeout),
    ):
        http.get("http://labels.test/")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
def test_a_redirect_is_handed_back_even_where_one_asks_to_follow(status):
    with server(plain(b"secret")) as private:
        moved = plain(b"", f"Location: {private.url('127.0.0.1')}", status=status)
        with server(moved) as there, client(there.url()) as http:
            assert http.get(there.url(), follow_redirects=True).status_code == int(status[:3])
            with http.stream("GET", there.url(), follow_redirects=True) as answer:
                assert answer.status_code == int(status[:3])
    assert private.asked == []


def test_a_redirect_to_an_odd_place_is_just_a_status():
    for place in ("file:///etc/passwd", "//evil.test", "http://user:pw@evil.test", "\\\\evil"):
        with (
            server(plain(b"", f"Location: {place}", status="302 Found")) as there,
            client(there.url()) as http,
        ):
            assert http.get(there.url()).status_code == 302


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    with server(plain(b"proxied")) as proxy, server(plain(b"direct")) as there:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        with client(there.url()) as http:
            assert http.get(there.url()).text == "direct"
    assert proxy.asked == []


def test_passwords_of_a_netrc_file_are_not_used(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine labels.test login me password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with server(plain()) as there, client(there.url()) as http:
        http.get(there.url())
    assert b"uthorization" not in there.asked[0]


def test_certificates_of_the_environment_are_not_trusted(monkeypatch, tmp_path):
    served, _ = certificates(tmp_path, "labels.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    with server(plain(), tls=served) as there, client(there.url(scheme="https")) as http:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            http.get(there.url(scheme="https"))


def test_tls_is_checked_against_the_name_not_the_address(tmp_path):
    served, trusting = certificates(tmp_path, "labels.test")
    with server(plain(), tls=served) as there:
        with client(there.url(scheme="https"), tls=trusting) as http:
            assert http.get(there.url(scheme="https")).text == "hello"
        other = there.url("other.test", "https")
        with (
            client(other, tls=trusting) as http,
            pytest.raises(httpx.ConnectError, match="Hostname mismatch"),
        ):
            http.get(other)
    assert len(there.asked) == 1


def test_an_own_authority_is_trusted_only_where_it_is_given(tmp_path):
    served, _ = certificates(tmp_path, "labels.test")
    with server(plain(), tls=served) as there, client(there.url(scheme="https")) as http:
        with pytest.raises(httpx.ConnectError):
            http.get(there.url(scheme="https"), headers={"Authorization": SECRET})
    assert there.asked == []


def test_old_tls_is_refused(tmp_path):
    served, trusting = certificates(tmp_path, "labels.test")
    served.minimum_version, trusting.minimum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    served.maximum_version = ssl.TLSVersion.TLSv1_2
    with server(plain(), tls=served) as there, client(there.url(scheme="https"), tls=trusting) as http:
        with pytest.raises(httpx.ConnectError):
            http.get(there.url(scheme="https"))


def test_plain_http_where_tls_is_expected_is_refused():
    with server(plain()) as there, client(there.url(scheme="https")) as http:
        with pytest.raises(httpx.TransportError):
            http.get(there.url(scheme="https"))


@pytest.mark.parametrize("where", ["another host", "another port", "another scheme"])
def test_credentials_never_go_to_another_origin(where):
    with server(plain()) as there, server(plain()) as other:
        elsewhere = {
            "another host": there.url("other.test"),
            "another port": other.url(),
            "another scheme": there.url(scheme="https"),
        }[where]
        with client(there.url()) as http, pytest.raises(OutboundRefused) as caught:
            http.get(elsewhere, headers={"Authorization": SECRET})
        assert caught.value.rule == "origin"
        assert "canary" not in str(caught.value)
    assert there.asked == other.asked == []


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key"])
def test_a_client_without_origin_sends_no_credentials(name):
    with server(plain()) as there, outbound_client(RULES, origin=None, resolver=Names(HERE)) as http:
        assert http.get(there.url()).text == "hello"
        with pytest.raises(OutboundRefused) as caught:
            http.get(there.url(), headers={name: SECRET})
    assert caught.value.rule == "credentials"
    assert len(there.asked) == 1


def test_cookies_are_kept_only_where_wanted_and_only_for_the_origin():
    setting = plain(b"x", "Set-Cookie: session=abc; Path=/")
    with server(setting) as there:
        with client(there.url()) as http:
            http.get(there.url())
            http.get(there.url())
        assert all(b"Cookie" not in one for one in there.asked)
        there.asked.clear()
        with client(there.url(), keep_cookies=True) as http:
            http.get(there.url())
            http.get(there.url())
            with pytest.raises(OutboundRefused):
                http.get(there.url("sub.labels.test"))
        assert b"Cookie: session=abc" in there.asked[1]


def test_another_host_header_is_refused():
    with server(plain()) as there, client(there.url()) as http, pytest.raises(OutboundRefused, match="Host"):
        http.get(there.url(), headers={"Host": "internal.test"})


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "GET /x HTTP/1.1\r\nX: y\r\n\r\nGET"])
def test_odd_methods_are_refused(method):
    with server(plain()) as there, client(there.url()) as http, pytest.raises(OutboundRefused) as caught:
        http.request(method, there.url())
    assert caught.value.rule == "method"


def test_a_line_break_in_a_header_is_refused():
    with server(plain()) as there, client(there.url()) as http:
        with pytest.raises(httpx.LocalProtocolError):
            http.get(there.url(), headers={"X-A": "b\r\nX-Evil: 1"})


def forever(connection, _request):
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def chunks_forever(connection, _request):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")


def says_much(connection, _request):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}")


@pytest.mark.parametrize("script", [forever, chunks_forever, says_much])
def test_an_endless_answer_ends(script):
    with server(script) as there, client(there.url(), timeout_s=10) as http:
        with pytest.raises(OutboundTooLarge, match="larger than"):
            http.get(there.url())


def slow_body(connection, _request):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def slow_header(connection, _request):
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def slow_chunks(connection, _request):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"1\r\nx\r\n")
        time.sleep(0.05)


def continues_forever(connection, _request):
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.01)


def silent(connection, _request):
    time.sleep(3)


@pytest.mark.parametrize("script", [slow_body, slow_header, slow_chunks, continues_forever, silent])
def test_a_slow_answer_ends_with_the_deadline_of_the_whole_request(script):
    began = time.monotonic()
    with server(script) as there, client(there.url(), timeout_s=0.5) as http:
        with pytest.raises(httpx.TimeoutException):
            http.get(there.url())
    assert time.monotonic() - began < 2


def test_a_slow_answer_read_bit_by_bit_ends_too():
    with server(slow_body) as there, client(there.url(), timeout_s=0.5) as http:
        with pytest.raises(httpx.TimeoutException), http.stream("GET", there.url()) as answer:
            for _ in answer.iter_bytes():
                pass


def test_a_server_that_does_not_read_ends_in_time():
    with server(plain()) as there, client(there.url(), timeout_s=0.5) as http:
        there_stalls = b"x" * 50_000_000

        def body():
            for begin in range(0, len(there_stalls), 65536):
                time.sleep(0.01)
                yield there_stalls[begin : begin + 65536]

        with pytest.raises(httpx.TransportError):
            http.post(there.url(), content=body())


def test_huge_headers_are_refused():
    def huge(connection, _request):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Huge: " + b"x" * 1_000_000 + b"\r\n\r\n")

    def many(connection, _request):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X-Many: y\r\n" * 100_000 + b"\r\n")

    for script in (huge, many):
        with server(script) as there, client(there.url()) as http:
            with pytest.raises(httpx.RemoteProtocolError):
                http.get(there.url())


def test_a_packed_bomb_is_not_unpacked():
    bomb = gzip.compress(b"\0" * 300_000_000)
    assert len(bomb) < 400_000
    with server(plain(bomb, "Content-Encoding: gzip")) as there, client(there.url(), timeout_s=20) as http:
        with pytest.raises(OutboundTooLarge):
            http.get(there.url())


@pytest.mark.parametrize("packing", ["br", "zstd", "gzip, gzip", "compress", "exi"])
def test_packing_that_was_not_asked_for_is_refused(packing):
    body = gzip.compress(b"hello")
    with server(plain(body, f"Content-Encoding: {packing}")) as there, client(there.url()) as http:
        with pytest.raises(OutboundRefused) as caught:
            http.get(there.url())
    assert caught.value.rule == "encoding"


@pytest.mark.parametrize(
    ("packing", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("GZIP", gzip.compress)]
)
def test_ordinary_packing_is_unpacked(packing, pack):
    with (
        server(plain(pack(b"hello" * 1000), f"Content-Encoding: {packing}")) as there,
        client(there.url()) as http,
    ):
        answer = http.get(there.url())
    assert answer.content == b"hello" * 1000


def test_broken_packing_is_an_error_of_decoding():
    with server(plain(b"not packed", "Content-Encoding: gzip")) as there, client(there.url()) as http:
        with pytest.raises(httpx.DecodingError):
            http.get(there.url())


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"",
    ],
    ids=["another protocol", "no status", "two lengths", "negative length", "broken chunk", "nothing"],
)
def test_an_answer_that_is_no_http_is_an_error_of_the_connection(answer):
    def script(connection, _request):
        connection.sendall(answer)
        connection.shutdown(2)

    with server(script) as there, client(there.url()) as http, pytest.raises(httpx.RemoteProtocolError):
        http.get(there.url())


def test_an_answer_that_is_cut_is_an_error():
    def script(connection, _request):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        connection.shutdown(2)

    with server(script) as there, client(there.url()) as http, pytest.raises(httpx.RemoteProtocolError):
        http.get(there.url())


def test_a_connection_is_used_again_after_an_answer_read_to_its_end():
    with server(plain()) as there, client(there.url()) as http:
        first = http.get(there.url()).extensions["network_stream"].get_extra_info("client_addr")
        second = http.get(there.url()).extensions["network_stream"].get_extra_info("client_addr")
    assert first == second


def test_the_transport_alone_keeps_the_rules_in_a_foreign_client():
    with server(plain()) as private:
        with server(plain(b"", f"Location: {private.url('10.0.0.1')}", status="302 Found")) as there:
            transport = OutboundTransport(RULES, origin=None, resolver=Names(HERE))
            with httpx.Client(transport=transport, trust_env=False, follow_redirects=True) as http:
                with pytest.raises(OutboundRefused):
                    http.get(there.url())


def test_a_listed_network_does_not_open_its_neighbours():
    rules = Rules(Purpose.LABEL_STUDIO, (network("127.0.0.1"),))
    with server(plain(), host="127.0.0.2") as there:
        with (
            client(there.url(), rules=rules, names=Names(["127.0.0.2"])) as http,
            pytest.raises(OutboundRefused),
        ):
            http.get(there.url())
    assert there.asked == []
