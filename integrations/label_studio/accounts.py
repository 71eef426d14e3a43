"""Accounts for annotators by invitation, over HTTP alone."""

import html
import re
import ssl

import httpx

from integrations.label_studio import parse
from integrations.label_studio.errors import (
    AccountExists,
    LabelStudioConfused,
    LabelStudioRefused,
    LabelStudioRejected,
    LabelStudioUnavailable,
)
from integrations.label_studio.interface import LabelStudio, Member
from integrations.label_studio.transport import PUBLIC_OR_HERE, checked_url, new_http_client
from integrations.outbound.errors import OutboundRefused, OutboundTooLarge
from integrations.outbound.rules import Rules

SIGN_UP = "/user/signup/"
_CSRF = re.compile(r"""name=["']csrfmiddlewaretoken["']\s+value=["']([^"']+)["']""")


def invite_link(client: LabelStudio, url: str) -> str:
    """The address where whoever has it can make an account; treat it as a secret.

    Args:
        client: An account of the organization.
        url: The server's address as people reach it.
    """
    return f"{checked_url(url)}{SIGN_UP}?token={client.invite_token()}"


def sign_up(
    url: str,
    invite_token: str,
    email: str,
    password: str,
    *,
    first_name: str = "",
    last_name: str = "",
    timeout_s: float = 30.0,
    http: httpx.Client | None = None,
    rules: Rules | None = None,
    tls: ssl.SSLContext | None = None,
) -> Member:
    """The new account, made as a person would with the invitation link.

    Args:
        url: The server's address.
        invite_token: From `LabelStudio.invite_token`.
        email: One account per address.
        password: At least 8 characters.
        first_name: Shown beside the account's annotations.
        last_name: The same.
        timeout_s: For each of four requests.
        http: A client to use instead of our own; it must keep cookies and be used for nothing else.
        rules: What may be called, where `http` is not given; by default public addresses and this machine.
        tls: Trusted certificates, likewise.

    Raises:
        AccountExists: The address has an account already.
        LabelStudioRefused: The invitation is not, or no longer, valid.
        LabelStudioRejected: The address or password is not taken.
        LabelStudioUnavailable: Down, too slow or 5xx.
    """
    base = checked_url(url)
    browser = http or new_http_client(
        base, rules or PUBLIC_OR_HERE, timeout_s=timeout_s, keep_cookies=True, tls=tls
    )
    try:
        _fill_in_form(browser, base, invite_token, {"email": email, "password": password})
        me = _answer(base, browser.get(f"{base}/api/current-user/whoami"))
        if first_name or last_name:
            names = {"first_name": first_name, "last_name": last_name}
            me = _answer(base, browser.patch(f"{base}/api/users/{me.user_id}/", json=names))
    except OutboundTooLarge:
        raise LabelStudioConfused(
            f"the answer of {base} to a sign-up has no end; check that the address is Label Studio's own"
        ) from None
    except OutboundRefused as refused:
        raise LabelStudioUnavailable(f"Label Studio's address cannot be used: {refused}") from None
    except (httpx.HTTPError, OSError) as error:
        raise LabelStudioUnavailable(
            f"Label Studio cannot be reached at {base} ({type(error).__name__}); start it and try again"
        ) from None
    finally:
        if http is None:
            browser.close()
    return me


def _fill_in_form(browser: httpx.Client, base: str, invite_token: str, form: dict[str, str]) -> None:
    params = {"token": invite_token}
    page = browser.get(base + SIGN_UP, params=params)
    _check(base, page)
    csrf = _CSRF.search(page.text)
    if csrf is None:
        raise LabelStudioConfused(
            f"the sign-up page of {base} has no form; check that the address is Label Studio's own"
        )
    form = form | {"csrfmiddlewaretoken": html.unescape(csrf[1])}
    made = browser.post(base + SIGN_UP, params=params, data=form, headers={"Referer": base + SIGN_UP})
    _check(base, made)
    if made.status_code == httpx.codes.OK:
        # The form is shown again with the reason.
        if "already exists" in made.text:
            raise AccountExists(
                "this e-mail address has a Label Studio account already; invite them to sign in"
            )
        raise LabelStudioRejected(
            "Label Studio does not take this e-mail address or password; "
            "give a valid address and a longer password"
        )


def _answer(base: str, response: httpx.Response) -> Member:
    _check(base, response)
    try:
        return parse.member(response.json())
    except ValueError:
        raise LabelStudioConfused(
            f"the answer of {base} to a sign-up is not JSON; check that the address is Label Studio's own"
        ) from None


def _check(base: str, response: httpx.Response) -> None:
    status = response.status_code
    if status == httpx.codes.FORBIDDEN:
        raise LabelStudioRefused(
            f"Label Studio at {base} does not take this invitation; make a new invitation link"
        )
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise LabelStudioUnavailable(
            f"Label Studio at {base} answered {status} to a sign-up; try again in a minute"
        )
    if status >= httpx.codes.BAD_REQUEST:
        raise LabelStudioRejected(
            f"Label Studio at {base} does not take this sign-up ({status})", status=status
        )
