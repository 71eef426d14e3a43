"""One OpenID Connect provider: its published settings and keys, and the way from a code to a person.

Authorization code with PKCE (RFC 7636), ID token checks of OpenID Connect Core 3.1.3.7, the issuer in the
answer (RFC 9207). Settings and keys are kept for an hour; an unknown key id asks for the keys again, at most
once a minute.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from integrations.oidc.errors import ProviderRefused, ProviderUnavailable
from integrations.oidc.interface import Attempt, Fetch, Person, ProviderConfig
from integrations.oidc.tokens import checked_claims, key_id_of, signed_claims

KEEP_S = 3600.0
ASK_KEYS_AGAIN_S = 60.0
LARGEST = 256 * 1024
_OK = 200


class Provider:
    """A provider, asked through `fetch`.

    Args:
        config: What the operator knows of it.
        fetch: How requests reach it.
        clock: Seconds that only grow, for what is kept.
    """

    def __init__(
        self, config: ProviderConfig, fetch: Fetch, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.config = config
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._settings: dict[str, Any] = {}
        self._settings_at = float("-inf")
        self._keys: list[dict[str, Any]] = []
        self._keys_at = float("-inf")

    def begin(self, redirect_uri: str) -> tuple[str, Attempt]:
        """Where to send the browser, and what it has to bring back.

        Raises:
            ProviderUnavailable: Its settings cannot be read.
            ProviderRefused: Its settings are not its own.
        """
        attempt = Attempt(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(64),
            redirect_uri=redirect_uri,
        )
        challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest())
        query = {
            "response_type": "code",
            "client_id": self.config.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(dict.fromkeys(("openid", *self.config.scopes))),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        endpoint = self.settings()["authorization_endpoint"]
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", attempt

    def finish(self, attempt: Attempt, answer: Mapping[str, str], *, now: datetime) -> Person:
        """Whom the provider's answer is about.

        Args:
            attempt: What `begin` made for this browser.
            answer: The query with which the browser came back.
            now: Aware UTC.

        Raises:
            ProviderRefused: State, issuer, code or token do not hold.
            ProviderUnavailable: It does not answer.
        """
        if not secrets.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
            raise ProviderRefused("this answer belongs to another try; start signing in again")
        settings = self.settings()
        said = answer.get("iss")
        if said is None and settings.get("authorization_response_iss_parameter_supported") is True:
            raise ProviderRefused("the answer does not say which provider it is from; start again")
        if said is not None and said != self.config.issuer:
            raise ProviderRefused("the answer is from another provider; start signing in again")
        if answer.get("error"):
            raise ProviderRefused("the provider did not sign you in; try again or ask your admin")
        code = answer.get("code", "")
        if not code:
            raise ProviderRefused("the provider's answer holds no code; start signing in again")
        tokens = self._exchange(settings, attempt, code)
        claims = self._claims(tokens["id_token"], attempt.nonce, now)
        return self._person(settings, claims, tokens.get("access_token"))

    def settings(self) -> dict[str, Any]:
        """What the provider publishes of itself."""
        with self._lock:
            if self._clock() - self._settings_at > KEEP_S:
                address = f"{self.config.issuer.rstrip('/')}/.well-known/openid-configuration"
                self._settings = self._checked_settings(self._json(address))
                self._settings_at = self._clock()
            return self._settings

    def _checked_settings(self, found: dict[str, Any]) -> dict[str, Any]:
        if found.get("issuer") != self.config.issuer:
            raise ProviderRefused(
                f"the settings published under {self.config.issuer} name another issuer; "
                "check the issuer in sign_in_providers"
            )
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            self._check_address(name, found.get(name))
        if "userinfo_endpoint" in found:
            self._check_address("userinfo_endpoint", found["userinfo_endpoint"])
        return found

    def _check_address(self, name: str, given: object) -> None:
        parts = urlsplit(given) if isinstance(given, str) else urlsplit("")
        # Plain http is for providers on this machine or in a test: where the issuer itself is http.
        wanted = {"https", urlsplit(self.config.issuer).scheme}
        if parts.scheme not in wanted or not parts.hostname or parts.username or parts.fragment:
            raise ProviderRefused(f"the provider publishes no {name} that can be used (https, no fragment)")

    def _exchange(self, settings: dict[str, Any], attempt: Attempt, code: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": attempt.redirect_uri,
            "code_verifier": attempt.verifier,
        }
        headers = {"Accept": "application/json"}
        client, secret = self.config.client_id, self.config.client_secret
        methods = settings.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if secret is None:
            form["client_id"] = client
        elif "client_secret_basic" in methods:
            pair = f"{quote(client, safe='')}:{quote(secret.get_secret_value(), safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": client, "client_secret": secret.get_secret_value()}
        found = self._json(settings["token_endpoint"], form=form, headers=headers)
        if not isinstance(found.get("id_token"), str):
            raise ProviderRefused("the provider sent no ID token; is `openid` among the scopes?")
        return found

    def _claims(self, token: str, nonce: str, now: datetime) -> dict[str, Any]:
        keys = self._keys_for(key_id_of(token))
        claims = signed_claims(token, keys)
        checked_claims(
            claims, issuer=self.config.issuer, client_id=self.config.client_id, nonce=nonce, now=now
        )
        return claims

    def _keys_for(self, key_id: str | None) -> list[dict[str, Any]]:
        address = str(self.settings()["jwks_uri"])
        with self._lock:
            age = self._clock() - self._keys_at
            known = any(key.get("kid") == key_id for key in self._keys)
            if age > KEEP_S or (not known and age > ASK_KEYS_AGAIN_S):
                found = self._json(address).get("keys")
                if not isinstance(found, list):
                    raise ProviderUnavailable("the provider's keys cannot be read; try again in a moment")
                self._keys = [key for key in found if isinstance(key, dict)]
                self._keys_at = self._clock()
            return self._keys

    def _person(self, settings: dict[str, Any], claims: dict[str, Any], access: object) -> Person:
        said = dict(claims)
        if "email" not in said and isinstance(access, str) and "userinfo_endpoint" in settings:
            more = self._json(settings["userinfo_endpoint"], headers={"Authorization": f"Bearer {access}"})
            if more.get("sub") != claims["sub"]:
                raise ProviderRefused("the provider told about somebody else; start signing in again")
            said = more | claims
        email = said.get("email")
        verified = said.get("email_verified") is True and isinstance(email, str)
        name = said.get("name")
        return Person(
            issuer=self.config.issuer,
            subject=str(claims["sub"]),
            email=str(email).strip().lower() if verified else "",
            name=name.strip()[:200] if isinstance(name, str) else "",
            claims=said,
        )

    def _json(
        self, url: str, *, form: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        answer = self._fetch(url, form=form, headers=headers)
        if form is not None and answer.status in {400, 401, 403}:
            raise ProviderRefused("the provider does not accept this code (any more); start again")
        if answer.status != _OK or len(answer.content) > LARGEST:
            raise ProviderUnavailable(
                f"the provider at {urlsplit(url).hostname} answers {answer.status}, or far too much; "
                "try again in a moment"
            )
        try:
            found = json.loads(answer.content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ProviderUnavailable("the provider's answer cannot be read; try again in a moment")
        return found
