"""The real adapters, chosen in one place for the processes that are started."""

from __future__ import annotations

import threading
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from integrations.label_studio.client import LabelStudioClient
from integrations.label_studio.interface import LabelStudio
from integrations.oidc.errors import ProviderUnavailable
from integrations.oidc.interface import Fetch, Fetched
from integrations.outbound.client import outbound_client
from integrations.outbound.errors import OutboundRefused
from integrations.outbound.rules import Purpose
from models.interface import ModelSpec, Predictor, RuntimeOptions
from workbench.outbound import rules_for, trusted
from workbench.settings import Settings

_PROVIDER_TIMEOUT_S = 10.0


def label_studio_clients(settings: Settings) -> Callable[[str, str], LabelStudio]:
    """Clients by address and token, kept open."""
    clients: dict[tuple[str, str], LabelStudio] = {}
    lock = threading.Lock()
    rules, tls = rules_for(settings, Purpose.LABEL_STUDIO), trusted(settings)

    def client(url: str, token: str) -> LabelStudio:
        with lock:
            if (url, token) not in clients:
                clients[url, token] = LabelStudioClient(
                    url, token, timeout_s=settings.label_studio_timeout_s, rules=rules, tls=tls
                )
            return clients[url, token]

    return client


def provider_fetch(settings: Settings) -> Fetch:
    """Requests to the providers of `sign_in_providers`, bound to public addresses and `sign_in_networks`."""
    rules, tls = rules_for(settings, Purpose.SIGN_IN), trusted(settings)

    def fetch(
        url: str, *, form: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> Fetched:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        try:
            with outbound_client(rules, origin=origin, timeout_s=_PROVIDER_TIMEOUT_S, tls=tls) as client:
                answer = client.request(
                    "GET" if form is None else "POST", url, data=form, headers=headers or {}
                )
                return Fetched(answer.status_code, answer.content)
        except (httpx.HTTPError, httpx.InvalidURL, OutboundRefused) as problem:
            words = str(problem) or type(problem).__name__
            raise ProviderUnavailable(
                f"the provider at {parts.hostname} cannot be reached: {words}"
            ) from None

    return fetch


def model_loader(settings: Settings) -> Callable[[ModelSpec], Predictor]:
    """Predictors by specification, loaded once; hashes are checked at each load."""
    loaded: dict[str, Predictor] = {}
    lock = threading.Lock()

    def load_model(spec: ModelSpec) -> Predictor:
        from models.loading import load, smoke  # noqa: PLC0415 - torch only where a model is really wanted

        key = repr(spec)
        with lock:
            if key not in loaded:
                predictor = load(spec, options=RuntimeOptions(threads=settings.model_threads or None))
                # A model that answers nothing sensible is refused before it meets items.
                smoke(predictor)
                loaded.clear()
                loaded[key] = predictor
            return loaded[key]

    return load_model
