"""The plain types of signing in with a provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import SecretStr


@dataclass(frozen=True)
class Fetched:
    """An answer of the provider, read to its end within the limits."""

    status: int
    content: bytes = field(repr=False)


class Fetch(Protocol):
    """How requests reach a provider: no redirects, bounded time and bytes, addresses checked."""

    def __call__(
        self,
        url: str,
        *,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Fetched:
        """The answer to GET, or to POST where there is a form.

        Args:
            url: Where to.
            form: Fields of a POST.
            headers: Sent along, with credentials where there are any.

        Raises:
            ProviderUnavailable: No answer within the limits.
        """
        ...


@dataclass(frozen=True)
class ProviderConfig:
    """One provider as the operator knows it."""

    issuer: str
    client_id: str
    client_secret: SecretStr | None = None
    scopes: tuple[str, ...] = ("openid", "email", "profile")


@dataclass(frozen=True)
class Attempt:
    """One try of one browser: what it has to bring back, and what the token must hold."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str = ""


@dataclass(frozen=True)
class Person:
    """Whom the provider vouches for.

    Attributes:
        issuer: The provider.
        subject: Their id there; never given to anybody else.
        email: Their address, in lower case; empty unless the provider says that it was verified.
        name: What to call them; may be empty.
        claims: Everything that was said, for groups.
    """

    issuer: str
    subject: str
    email: str = ""
    name: str = ""
    claims: dict[str, Any] = field(default_factory=dict, repr=False)
