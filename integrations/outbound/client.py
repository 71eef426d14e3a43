"""The HTTP client for every address that a person gives."""

import contextlib
import functools
import ssl
import time
import zlib
from collections.abc import Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore
import httpx

from integrations.outbound.dialing import PinnedBackend, Resolver, system_resolver, until
from integrations.outbound.errors import OutboundRefused, OutboundTooLarge
from integrations.outbound.rules import MEGABYTE, Rules, Target, check_host, judged, target_of

DEADLINE_S = 30.0
CREDENTIALS = frozenset({b"authorization", b"cookie", b"proxy-authorization", b"x-api-key"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PIECE = 64 * 1024
_PACKED = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}  # window bits that zlib takes for each


def check(url: str, rules: Rules) -> Target:
    """Where an address leads, as far as that is known without asking anybody.

    Raises:
        OutboundRefused: It can never be called.
    """
    target = target_of(url)
    if target.literal is not None:
        judged(target, [str(target.literal)], rules)
    else:
        check_host(target, rules)
    return target


def outbound_client(
    rules: Rules,
    *,
    origin: str | None,
    timeout_s: float = DEADLINE_S,
    keep_cookies: bool = False,
    auth: httpx.Auth | None = None,
    resolver: Resolver = system_resolver,
    tls: ssl.SSLContext | None = None,
) -> httpx.Client:
    """A client that calls what the rules allow and nothing else.

    It follows no redirects, knows no proxies of the environment, and ends a request after `timeout_s` as a
    whole, however slowly an answer drips. Redirects are handed to the caller as they are.

    Args:
        rules: What may be called.
        origin: The one address (any path) that credentials and cookies belong to; every request elsewhere is
            refused. None: any address that the rules allow, but never with credentials.
        timeout_s: For one request from name to last byte; a request's own `timeout` replaces it.
        keep_cookies: Whether cookies are kept between requests; needs an origin.
        auth: How requests are signed; needs an origin.
        resolver: Addresses by host; another one in tests.
        tls: Trusted certificates; by default those that browsers trust.

    Raises:
        OutboundRefused: The origin can never be called.
    """
    if origin is None and (keep_cookies or auth is not None):
        raise OutboundRefused("credentials", "credentials and cookies need the one address they belong to")
    bound = None if origin is None else check(origin, rules).origin
    jar = None if keep_cookies else CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return _Client(
        transport=OutboundTransport(rules, origin=bound, resolver=resolver, tls=tls),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(timeout_s),
        cookies=jar,
        auth=auth,
    )


class _Client(httpx.Client):
    """A client that cannot be talked into following a redirect."""

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        return super().send(request, **(options | {"follow_redirects": False}))


class OutboundTransport(httpx.BaseTransport):
    """What `outbound_client` sends through; for libraries that make their own httpx client."""

    def __init__(
        self,
        rules: Rules,
        *,
        origin: str | None,
        resolver: Resolver = system_resolver,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._rules = rules
        self._origin = origin
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls or _trusted(),
            max_connections=20,
            max_keepalive_connections=10,
            keepalive_expiry=30.0,
            network_backend=PinnedBackend(rules, resolver),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, its body still to be read under the same deadline.

        Raises:
            OutboundRefused: The request or its answer breaks a rule.
        """
        target = self._checked(request)
        timeouts = [one for one in request.extensions.get("timeout", {}).values() if one is not None]
        deadline = time.monotonic() + max(timeouts, default=DEADLINE_S)
        request.headers["Accept-Encoding"] = "gzip, deflate"
        assert isinstance(request.stream, httpx.SyncByteStream)
        plain = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=target.scheme.encode(),
                host=target.host.encode(),
                port=target.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions={"timeout": request.extensions.get("timeout", {})},
        )
        with _as_httpx(), until(deadline):
            answer = self._pool.handle_request(plain)
        try:
            return self._opened(answer, deadline)
        except OutboundRefused:
            answer.close()
            raise

    def close(self) -> None:
        """Ends the connections."""
        self._pool.close()

    def _checked(self, request: httpx.Request) -> Target:
        target = target_of(request.url)
        if request.method not in _METHODS:
            raise OutboundRefused(
                "method", f"{request.method[:20]} is not sent to addresses that people give"
            )
        if request.headers.get("host", "").encode() != request.url.netloc:
            raise OutboundRefused(
                "host", "a request names another host than its address; leave the Host header"
            )
        if self._origin is not None and target.origin != self._origin:
            raise OutboundRefused(
                "origin",
                f"{target.origin} is not {self._origin}, which the credentials belong to; "
                "give that address its own credentials",
            )
        carried = {name.lower() for name, _ in request.headers.raw}
        if self._origin is None and carried & CREDENTIALS:
            raise OutboundRefused(
                "credentials", f"credentials are not sent to {target.origin}; bind them to it"
            )
        if target.literal is not None:
            judged(target, [str(target.literal)], self._rules)
        else:
            check_host(target, self._rules)
        return target

    def _opened(self, answer: httpcore.Response, deadline: float) -> httpx.Response:
        dropped = {b"content-encoding"}
        packing = b",".join(value for name, value in answer.headers if name.lower() == b"content-encoding")
        packing = packing.strip().lower()
        if packing not in {b"", b"identity"}:
            if packing not in _PACKED:
                raise OutboundRefused("encoding", "the answer is packed in a way that was not asked for")
            dropped |= {b"content-length"}
        length = next((value for name, value in answer.headers if name.lower() == b"content-length"), b"0")
        if length.isdigit() and len(length) < 20 and int(length) > self._rules.max_bytes:  # noqa: PLR2004
            raise _too_large(self._rules)
        return httpx.Response(
            answer.status,
            headers=[one for one in answer.headers if one[0].lower() not in dropped],
            stream=_Body(answer, deadline, self._rules, _PACKED.get(packing)),
            extensions=answer.extensions,
        )


class _Body(httpx.SyncByteStream):
    """An answer's body: unpacked bit by bit, up to its size and deadline."""

    def __init__(self, answer: httpcore.Response, deadline: float, rules: Rules, window: int | None) -> None:
        self._answer = answer
        self._deadline = deadline
        self._rules = rules
        self._window = window

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for piece in self._pieces():
            size += len(piece)
            if size > self._rules.max_bytes:
                raise _too_large(self._rules)
            if time.monotonic() > self._deadline:
                raise httpx.ReadTimeout("the whole request took too long")
            yield piece

    def _pieces(self) -> Iterator[bytes]:
        if self._window is None:
            yield from self._raw()
            return
        unpacking = zlib.decompressobj(self._window)
        try:
            for raw in self._raw():
                left = raw
                while left and not unpacking.eof:
                    yield unpacking.decompress(left, _PIECE)
                    left = unpacking.unconsumed_tail
            yield unpacking.flush(_PIECE)
        except zlib.error:
            raise httpx.DecodingError("the answer's packing is broken") from None

    def _raw(self) -> Iterator[bytes]:
        assert not isinstance(self._answer.stream, bytes)
        source = iter(self._answer.stream)  # type: ignore[arg-type]
        while True:
            with _as_httpx(), until(self._deadline):
                raw = next(source, None)
            if raw is None:
                return
            yield raw

    def close(self) -> None:
        """Gives the connection back, or ends it where the body was not read."""
        self._answer.close()


@contextlib.contextmanager
def _as_httpx() -> Iterator[None]:
    """Errors of the layer below under the names that callers of httpx know."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as problem:
        kind = getattr(httpx, type(problem).__name__, httpx.TransportError)
        raise kind(str(problem)) from problem


@functools.cache
def _trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _too_large(rules: Rules) -> OutboundTooLarge:
    return OutboundTooLarge(
        f"the answer of {rules.purpose} is larger than {rules.max_bytes / MEGABYTE:g} MB; "
        "ask for less at once"
    )
