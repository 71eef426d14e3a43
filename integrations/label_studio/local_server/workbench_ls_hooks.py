"""Lets the local Label Studio call one address of this machine: the workbench's door for webhooks.

Label Studio refuses private addresses for everything that members may make it call. Its own switches for this
know networks alone, and would open every program of this machine to every member's import. So all checks stay
as they are, and webhooks to this one address (scheme, host, port and the beginning of the path) pass.
"""

from typing import Any

import requests

from webhooks import serializers, utils  # type: ignore[import-not-found] # isort: skip


def let_through(receiver: str) -> None:
    """Takes the door's address, as http://127.0.0.1:8000/hooks/label-studio/."""
    validate, post = serializers.validate_url_for_ssrf, utils.ssrf_safe_post

    def is_ours(url: str) -> bool:
        rest = url.removeprefix(receiver)
        return rest != url and rest.isalnum()

    def validate_unless_ours(url: str, **more: Any) -> Any:
        return None if is_ours(url) else validate(url, **more)

    def post_unless_ours(url: str, **more: Any) -> Any:
        if not is_ours(url):
            return post(url, **more)
        with requests.Session() as session:
            session.trust_env = False
            return session.post(url, allow_redirects=False, **more)

    serializers.validate_url_for_ssrf = validate_unless_ours
    utils.ssrf_safe_post = post_unless_ours
