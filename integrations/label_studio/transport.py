"""JSON over HTTP with one Label Studio server: tokens, limits, and every failure as one of our errors."""

import json
import re
import ssl
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any, NoReturn

import httpx

from integrations.label_studio.errors import (
    AddressRefused,
    LabelStudioConfused,
    LabelStudioError,
    LabelStudioRefused,
    LabelStudioRejected,
    LabelStudioUnavailable,
)
from integrations.outbound.addresses import LOOPBACK
from integrations.outbound.client import outbound_client
from integrations.outbound.errors import OutboundRefused, OutboundTooLarge
from integrations.outbound.rules import Purpose, Rules

MAX_ANSWER_BYTES = 256 * 1024 * 1024
PUBLIC_OR_HERE = Rules(Purpose.LABEL_STUDIO, LOOPBACK, max_bytes=MAX_ANSWER_BYTES)
Params = Sequence[tuple[str, str]]
_PERSONAL_TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")
_ACCESS_LIFETIME_S = 240.0  # the server grants 300
_CHUNK_BYTES = 64 * 1024


class Transport:
    """Calls to one server as one account; safe to share between threads.

    Args:
        url: The server's address, `http://` or `https://`, with the path it is served under.
        token: A legacy token or a personal access token.
        timeout_s: How long one call may take as a whole.
        http: A client to use instead of our own, which follows no redirects and keeps no cookies.
        rules: What may be called, where `http` is not given.
        tls: Trusted certificates, likewise.

    Raises:
        LabelStudioRejected: `url` is not an address, or one that can never be called.
        LabelStudioRefused: `token` cannot be a token.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_s: float,
        http: httpx.Client | None = None,
        rules: Rules | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.url = checked_url(url)
        self.timeout_s = timeout_s
        self._owns_http = http is None
        self._auth = token_auth(self.url, token)
        self._http = http or new_http_client(self.url, rules or PUBLIC_OR_HERE, timeout_s=timeout_s, tls=tls)

    def close(self) -> None:
        """Gives the connections back, if they are ours."""
        if self._owns_http:
            self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Params = (),
        body: Any = None,
        content: bytes | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """The answer's JSON, None for an empty answer; one try, never repeated.

        Raises:
            LabelStudioUnavailable: No connection, an address that may not be called, no answer in time, 429
                or 5xx.
            LabelStudioRefused: 401 or 403.
            LabelStudioRejected: Any other 4xx.
            LabelStudioConfused: A redirect, an answer that is too large, or one that is not JSON.
        """
        limit_s = timeout_s or self.timeout_s
        headers = {"Accept": "application/json"}
        if body is not None:
            content = json.dumps(body, allow_nan=False).encode()
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            request = self._http.build_request(
                method,
                self.url + path,
                params=list(params),
                content=content,
                headers=headers,
                timeout=limit_s,
            )
            response = self._http.send(request, stream=True, auth=self._auth, follow_redirects=False)
            try:
                answer = _read(response, time.monotonic() + limit_s)
            finally:
                response.close()
        except OutboundTooLarge:
            raise LabelStudioConfused(_too_large()) from None
        except OutboundRefused as refused:
            raise _may_not_call(refused) from None
        except httpx.DecodingError:
            raise LabelStudioConfused(
                f"the answer from {self.url} for {path.partition('?')[0]} cannot be unpacked; "
                "check that the address is Label Studio's own"
            ) from None
        except httpx.TimeoutException:
            raise LabelStudioUnavailable(_too_slow(self.url, limit_s)) from None
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise LabelStudioUnavailable(
                f"Label Studio cannot be reached at {self.url} ({type(error).__name__}); start it or correct "
                "the address, the work goes on by itself when it answers"
            ) from None
        if answer is None:
            raise LabelStudioUnavailable(_too_slow(self.url, limit_s))
        _check_status(self.url, method, path, response.status_code, answer)
        return _parse(self.url, path, answer)


class _PersonalTokenAuth(httpx.Auth):
    """Trades the long-lived personal token for access tokens of five minutes."""

    requires_response_body = True

    def __init__(self, url: str, token: str) -> None:
        self._refresh_url = f"{url}/api/token/refresh/"
        self._token = token
        self._lock = threading.Lock()
        self._access = ""
        self._good_until = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        with self._lock:
            access = self._access if time.monotonic() < self._good_until else ""
        if not access:
            refresh = httpx.Request(
                "POST",
                self._refresh_url,
                json={"refresh": self._token},
                extensions={"timeout": request.extensions.get("timeout", {})},
            )
            answer = yield refresh
            _check_status(
                self._refresh_url, "POST", "/api/token/refresh/", answer.status_code, answer.content
            )
            parsed = _parse(self._refresh_url, "/api/token/refresh/", answer.content)
            access = parsed.get("access", "") if isinstance(parsed, dict) else ""
            with self._lock:
                self._access, self._good_until = access, time.monotonic() + _ACCESS_LIFETIME_S
        request.headers["Authorization"] = f"Bearer {access}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            with self._lock:
                self._good_until = 0.0


class _LegacyTokenAuth(httpx.Auth):
    """Sends the legacy token with each request."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Token {self._token}"
        yield request


def new_http_client(
    url: str,
    rules: Rules,
    *,
    timeout_s: float,
    keep_cookies: bool = False,
    auth: httpx.Auth | None = None,
    tls: ssl.SSLContext | None = None,
) -> httpx.Client:
    """A client for one server alone, which calls no address that the rules do not allow.

    Raises:
        LabelStudioRejected: The address can never be called.
    """
    try:
        return outbound_client(
            rules, origin=url, timeout_s=timeout_s, keep_cookies=keep_cookies, auth=auth, tls=tls
        )
    except OutboundRefused as refused:
        raise LabelStudioRejected(f"Label Studio's address cannot be used: {refused}") from None


def checked_url(url: str) -> str:
    """The address without its closing slash.

    Raises:
        LabelStudioRejected: It is not an http address, or carries a name or password.
    """
    try:
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, UnicodeError):
        parsed = httpx.URL("")
    if (
        parsed.scheme not in {"http", "https"}
        or not parsed.host
        or parsed.userinfo
        or parsed.query
        or parsed.fragment
    ):
        raise LabelStudioRejected("the address of Label Studio must look like https://labels.example.com")
    return str(parsed).rstrip("/")


def token_auth(url: str, token: str) -> httpx.Auth:
    """How requests are signed with this token, legacy or personal.

    Raises:
        LabelStudioRefused: It cannot be a token at all.
    """
    token = token.strip()
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise LabelStudioRefused(
            "the Label Studio token is empty or has odd characters; copy it again from Label Studio"
        )
    if _PERSONAL_TOKEN.fullmatch(token):
        return _PersonalTokenAuth(url, token)
    return _LegacyTokenAuth(token)


def _may_not_call(refused: OutboundRefused) -> LabelStudioError:
    if refused.rule == "encoding":
        return LabelStudioConfused(f"Label Studio's answer cannot be read: {refused}")
    return LabelStudioUnavailable(f"Label Studio's address cannot be used: {refused}")


def _too_large() -> str:
    return f"Label Studio's answer is larger than {MAX_ANSWER_BYTES // 2**20} MB; ask for fewer tasks at once"


def _read(response: httpx.Response, deadline: float) -> bytes | None:
    """The body; None when it trickled in for too long."""
    parts: list[bytes] = []
    size = 0
    # A refused personal token has been read by the sign-in already.
    if response.is_stream_consumed:
        return response.content
    for part in response.iter_bytes(_CHUNK_BYTES):
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise LabelStudioConfused(_too_large())
        if time.monotonic() > deadline:
            return None
        parts.append(part)
    return b"".join(parts)


def _too_slow(url: str, limit_s: float) -> str:
    return (
        f"Label Studio at {url} did not answer within {limit_s:g} s; "
        "the work goes on by itself when it is quicker"
    )


def _check_status(url: str, method: str, path: str, status: int, answer: bytes) -> None:
    place = f"{method} {path.partition('?')[0]}"
    if status == 403 and b"reserved network address" in answer:  # noqa: PLR2004
        raise AddressRefused(
            f"Label Studio at {url} does not call private addresses; give the workbench an address that it "
            "may call (webhook_url), or let this one through in Label Studio's banned subnets",
            status=status,
        )
    if status in {401, 403}:
        raise LabelStudioRefused(
            f"Label Studio at {url} refuses our token ({status} for {place}); "
            "give a new token of an account that may manage projects"
        )
    if status == 429 or status >= 500:  # noqa: PLR2004
        raise LabelStudioUnavailable(
            f"Label Studio at {url} answered {status} for {place}; the work goes on by itself, "
            "look at the log of Label Studio if this stays"
        )
    if status >= 400:  # noqa: PLR2004
        fields = _refused_fields(answer)
        named = f", fields {', '.join(fields)}" if fields else ""
        raise LabelStudioRejected(
            f"Label Studio does not take this ({status} for {place}{named}); mend what is sent", status=status
        )
    if status >= 300:  # noqa: PLR2004
        raise LabelStudioConfused(
            f"Label Studio at {url} redirects {place} to another address ({status}); "
            "give the address it redirects to"
        )


def _refused_fields(answer: bytes) -> list[str]:
    """Names of the fields an error answer complains about; their texts may hold item text and stay out."""
    try:
        parsed = json.loads(answer)
    except (ValueError, RecursionError):
        return []
    errors = parsed.get("validation_errors") if isinstance(parsed, Mapping) else None
    names = list(errors) if isinstance(errors, Mapping) else []
    return [name for name in names if isinstance(name, str) and re.fullmatch(r"\w{1,40}", name)][:5]


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _parse(url: str, path: str, answer: bytes) -> Any:
    if not answer.strip():
        return None
    try:
        return json.loads(answer, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise LabelStudioConfused(
            f"the answer from {url} for {path.partition('?')[0]} is not JSON; "
            "check that the address is Label Studio's own"
        ) from None
