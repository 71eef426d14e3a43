"""ID tokens: which key signed them, and whether what they say is meant for us, now, for this try."""

from __future__ import annotations

import json
import secrets
from datetime import datetime
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.util import urlsafe_b64decode

from integrations.oidc.errors import ProviderRefused

ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
"""Signatures with a key pair; never `none`, and never a shared key that the public one could pose as."""
_KINDS: dict[str, tuple[type[RSAKey | ECKey | OKPKey], tuple[str, ...]]] = {
    "RSA": (RSAKey, ("RS", "PS")),
    "EC": (ECKey, ("ES",)),
    "OKP": (OKPKey, ("Ed",)),
}
LEEWAY_S = 60
OLDEST_S = 600
LONGEST_TOKEN = 64 * 1024
LONGEST_SUBJECT = 255
LEAST_RSA_BITS = 2048


def key_id_of(token: str) -> str | None:
    """The id of the key that is said to have signed the token."""
    key_id = _header(token).get("kid")
    return key_id if isinstance(key_id, str) else None


def _header(token: str) -> dict[str, Any]:
    try:
        found = json.loads(urlsafe_b64decode(token[:LONGEST_TOKEN].partition(".")[0].encode()))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or len(token) > LONGEST_TOKEN:
        raise ProviderRefused("the provider's ID token cannot be read; start signing in again")
    return found


def signed_claims(token: str, keys: list[dict[str, Any]]) -> dict[str, Any]:
    """What the token says, with its signature checked against one of the provider's public keys.

    Keys named inside the token (`jwk`, `jku`, `x5u`) are ignored.

    Raises:
        ProviderRefused: Another algorithm, no such key, or a signature that does not fit.
    """
    header = _header(token)
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        raise ProviderRefused("the ID token is not signed with a key pair of the provider")
    key = _public_key(header.get("kid"), str(algorithm), keys)
    registry = jws.JWSRegistry(algorithms=[str(algorithm)])
    try:
        signed = jws.deserialize_compact(token, key, registry=registry)
        claims = json.loads(signed.payload)
    except (JoseError, ValueError, RecursionError):
        raise ProviderRefused("the ID token's signature does not fit; start signing in again") from None
    if not isinstance(claims, dict):
        raise ProviderRefused("the ID token cannot be read; start signing in again")
    return claims


def _public_key(key_id: object, algorithm: str, keys: list[dict[str, Any]]) -> RSAKey | ECKey | OKPKey:
    fitting = [key for key in keys if _may_sign(key, algorithm)]
    if key_id is not None:
        fitting = [key for key in fitting if key.get("kid") == key_id]
    if len(fitting) != 1:
        raise ProviderRefused("the ID token is signed with a key that the provider does not publish")
    kind, _ = _KINDS[fitting[0]["kty"]]
    public = {name: value for name, value in fitting[0].items() if name not in {"d", "p", "q", "key_ops"}}
    try:
        key = kind.import_key(public)
    except (JoseError, ValueError, TypeError, KeyError):
        raise ProviderRefused("the provider publishes a key that cannot be used") from None
    if isinstance(key, RSAKey) and key.public_key.key_size < LEAST_RSA_BITS:
        raise ProviderRefused("the provider's key is too short to be believed")
    return key


def _may_sign(key: dict[str, Any], algorithm: str) -> bool:
    families = _KINDS.get(str(key.get("kty")), (None, ()))[1]
    return (
        (
            algorithm.startswith(tuple(families))
            and key.get("use", "sig") == "sig"
            and key.get("alg", algorithm) == algorithm
        )
        if families
        else False
    )


def checked_claims(claims: dict[str, Any], *, issuer: str, client_id: str, nonce: str, now: datetime) -> None:
    """Nothing, where the claims are meant for us, now, and for this try.

    Raises:
        ProviderRefused: They are not; says which.
    """
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    authorized = claims.get("azp")
    issued, expires = _time(claims.get("iat")), _time(claims.get("exp"))
    subject = claims.get("sub")
    at = now.timestamp()
    wrong = ""
    if claims.get("iss") != issuer:
        wrong = "another provider made it"
    elif not isinstance(audiences, list) or client_id not in audiences:
        wrong = "it is meant for another application"
    elif (authorized is None and len(audiences) > 1) or authorized not in {None, client_id}:
        wrong = "it was given to another application"
    elif expires is None or at > expires + LEEWAY_S:
        wrong = "it has expired"
    elif issued is None or not -LEEWAY_S <= at - issued <= OLDEST_S:
        wrong = "it was made long ago or in the future; compare the clocks"
    elif not secrets.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        wrong = "it belongs to another try"
    elif not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        wrong = "it names nobody"
    if wrong:
        raise ProviderRefused(f"the provider's ID token does not hold: {wrong}; start signing in again")


def _time(value: object) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e11  # noqa: PLR2004
    return float(value) if usable and isinstance(value, int | float) else None
