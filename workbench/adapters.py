"""The real adapters, chosen in one place for the processes that are started."""

from __future__ import annotations

import threading
from collections.abc import Callable

from integrations.label_studio.client import LabelStudioClient
from integrations.label_studio.interface import LabelStudio
from models.interface import ModelSpec, Predictor, RuntimeOptions
from workbench.settings import Settings


def label_studio_clients(settings: Settings) -> Callable[[str, str], LabelStudio]:
    """Clients by address and token, kept open."""
    clients: dict[tuple[str, str], LabelStudio] = {}
    lock = threading.Lock()

    def client(url: str, token: str) -> LabelStudio:
        with lock:
            if (url, token) not in clients:
                clients[url, token] = LabelStudioClient(url, token, timeout_s=settings.label_studio_timeout_s)
            return clients[url, token]

    return client


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
