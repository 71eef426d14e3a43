"""Secrets at rest: encrypted with a key that lies beside the data, or comes from the environment."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Self

from cryptography.fernet import Fernet, InvalidToken

from workbench.errors import InvalidInput, Unavailable
from workbench.settings import Settings


class Vault:
    """Encrypts and decrypts small secrets; never shows its key."""

    def __init__(self, key: bytes) -> None:
        try:
            self._fernet = Fernet(key)
        except ValueError:
            raise InvalidInput(
                "the secret key is not a Fernet key (44 characters of base64); make one with "
                "`workbench init` or unset WORKBENCH_SECRET_KEY"
            ) from None

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The vault of this installation; a key file (mode 0600) is made on first use."""
        if settings.secret_key is not None:
            return cls(settings.secret_key.get_secret_value().encode())
        path = settings.data_dir / "secret.key"
        if not path.exists():
            _write_new(path, Fernet.generate_key())
        return cls(path.read_bytes().strip())

    def lock(self, secret: bytes) -> bytes:
        """The secret, encrypted."""
        return self._fernet.encrypt(secret)

    def unlock(self, locked: bytes) -> bytes:
        """The secret in clear.

        Raises:
            Unavailable: It was encrypted under another key.
        """
        try:
            return self._fernet.decrypt(locked)
        except InvalidToken:
            raise Unavailable(
                "a stored secret cannot be read: it was encrypted with another key. Put the original "
                "secret.key back into the data folder, or enter the secret again."
            ) from None


def _write_new(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may start at once: neither may read the other's half-written key, or replace it.
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".key-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(partial, path)
    Path(partial).unlink()
