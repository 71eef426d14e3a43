"""What can go wrong between us and a provider.

OidcError
├── ProviderUnavailable   it cannot be reached, or its answer cannot be read; trying later may help
└── ProviderRefused       what it says does not hold for us: wrong issuer, audience, nonce, signature …
"""

from __future__ import annotations

from integrations.errors import IntegrationError


class OidcError(IntegrationError):
    """Signing in with a provider did not work."""


class ProviderUnavailable(OidcError):
    """The provider cannot be reached, or its answer cannot be read."""


class ProviderRefused(OidcError):
    """What the provider, or somebody in its name, said does not hold."""
