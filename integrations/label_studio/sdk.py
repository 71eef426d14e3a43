"""Label Studio's own SDK, made to call through our outbound client."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from label_studio_sdk.client import LabelStudio as Sdk

from integrations.label_studio.transport import PUBLIC_OR_HERE, checked_url, new_http_client, token_auth
from integrations.outbound.rules import Rules

# The SDK asks for a key, and its own way with personal tokens signs requests that ours signs already.
_SIGNED_ELSEWHERE = "signed-by-the-outbound-client"


@contextmanager
def sdk_client(
    url: str,
    token: str,
    *,
    timeout_s: float = 60.0,
    rules: Rules | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Sdk]:
    """The SDK for one server: checked addresses, no redirects, bounded, its token sent nowhere else.

    The SDK repeats POST requests by itself: pass `request_options={"max_retries": 0}` for what must not
    happen twice.

    Args:
        url: The server's address.
        token: A legacy token or a personal access token.
        timeout_s: For one request as a whole.
        rules: What may be called; by default public addresses and this machine.
        tls: Trusted certificates; by default those that browsers trust.

    Raises:
        LabelStudioRejected: `url` is not an address, or one that can never be called.
        LabelStudioRefused: `token` cannot be a token.
    """
    base = checked_url(url)
    auth = token_auth(base, token)
    with new_http_client(base, rules or PUBLIC_OR_HERE, timeout_s=timeout_s, auth=auth, tls=tls) as http:
        yield Sdk(  # type: ignore[no-untyped-call]
            base_url=base, api_key=_SIGNED_ELSEWHERE, httpx_client=http, timeout=timeout_s
        )
