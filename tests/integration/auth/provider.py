"""An OpenID Connect provider inside the test process, that tells the truth until it is told to lie."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from integrations.oidc.errors import ProviderUnavailable
from integrations.oidc.interface import Fetched
from tests.conftest import Clock

ISSUER = "https://id.example.org"
CLIENT, SECRET = "workbench", "client-secret"


@dataclass
class LyingProvider:
    """Answers as `fetch` is asked; every field is a way to lie."""

    clock: Clock
    issuer: str = ISSUER
    claims: dict[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    sign: Callable[[LyingProvider, dict[str, Any]], str] | None = None
    instead: Callable[[LyingProvider, str], str] = lambda _, token: token
    answers: dict[str, Fetched | Exception] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, address: str, **more: str) -> str:
        """The address that the provider sends the browser back to, path and query."""
        parts = urlsplit(address)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{ISSUER}/authorize"
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        back = urlsplit(query["redirect_uri"])
        return f"{back.path}?{urlencode({'code': code, 'state': query['state'], 'iss': self.issuer} | more)}"

    def __call__(
        self, url: str, *, form: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> Fetched:
        path = urlsplit(url).path
        self.asked.append(path)
        if path in self.answers:
            answer = self.answers[path]
            if isinstance(answer, Exception):
                raise answer
            return answer
        if path == "/.well-known/openid-configuration":
            return _json(self._settings())
        if path == "/keys":
            return _json({"keys": [self.key.as_dict(private=False)]})
        if path == "/userinfo":
            assert (headers or {})["Authorization"] == "Bearer access"
            return _json(self.userinfo)
        assert path == "/token"
        return self._token(form or {}, headers or {})

    def _settings(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
            "userinfo_endpoint": f"{ISSUER}/userinfo",
        } | self.settings

    def _token(self, form: dict[str, str], headers: dict[str, str]) -> Fetched:
        asked = self.codes.pop(form["code"], None)
        pair = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode()
        if asked is None or pair != f"{CLIENT}:{SECRET}" or form["redirect_uri"] != asked["redirect_uri"]:
            return _json({"error": "invalid_grant"}, 400)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            return _json({"error": "invalid_grant"}, 400)
        now = int(self.clock().timestamp())
        claims = {
            "iss": ISSUER, "aud": CLIENT, "sub": "person-1", "iat": now, "exp": now + 300, "nonce": asked["nonce"],
            "email": "ann@example.org", "email_verified": True, "name": "Ann",
        } | self.claims  # fmt: skip
        claims = {name: value for name, value in claims.items() if name not in self.without}
        sign = self.sign or signed
        return _json({"access_token": "access", "id_token": self.instead(self, sign(self, claims))})


def signed(provider: LyingProvider, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": provider.key.kid}, claims, provider.key)


def unsigned(provider: LyingProvider, claims: dict[str, Any]) -> str:
    return ".".join([_part({"alg": "none", "kid": "one"}), _part(claims), ""])


def signed_with_the_public_key(provider: LyingProvider, claims: dict[str, Any]) -> str:
    """HS256, keyed with the text of the public key: what a careless check would call right."""
    signing = f"{_part({'alg': 'HS256', 'kid': 'one'})}.{_part(claims)}"
    made = hmac.new(provider.key.as_pem(private=False), signing.encode(), hashlib.sha256).digest()
    return f"{signing}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


def signed_by_somebody_else(provider: LyingProvider, claims: dict[str, Any]) -> str:
    other = RSAKey.generate_key(2048, {"kid": "one"})
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, other)


def bringing_its_own_key(provider: LyingProvider, claims: dict[str, Any]) -> str:
    other = RSAKey.generate_key(2048, {"kid": "one"})
    header = {"alg": "RS256", "jwk": other.as_dict(private=False)}
    return jwt.encode(header, claims, other)


def changed_after_signing(provider: LyingProvider, token: str) -> str:
    head, _, signature = token.split(".")
    now = int(provider.clock().timestamp())
    claims = {"iss": ISSUER, "aud": CLIENT, "sub": "admin", "iat": now, "exp": now + 300}
    return ".".join([head, _part(claims), signature])


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _json(value: object, status: int = 200) -> Fetched:
    return Fetched(status, json.dumps(value).encode())


SLOW = ProviderUnavailable("the provider cannot be reached: timed out")
HUGE = Fetched(200, b"[" * (300 * 1024))
NOT_JSON = Fetched(200, b"<html>")
