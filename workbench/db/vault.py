"""Secrets at rest: encrypted with keys that lie beside the data, or come from outside.

A stored secret names its key: `wb1:<key id>:<Fernet token>`. Those of the first release are bare Fernet
tokens and are tried with every key.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from cryptography.fernet import Fernet, InvalidToken

from workbench.errors import InvalidInput, Unavailable
from workbench.settings import Settings

PREFIX = b"wb1:"
FIRST_RELEASE = b"gAAAAA"
_ID_LENGTH = 8


class Secret(bytes):
    """A secret in clear that does not show itself in tracebacks, logs or debuggers."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "[secret]"

    __str__ = __repr__

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> SecretText:
        """The same as text, as little given to showing itself."""
        return SecretText(super().decode(encoding, errors))


class SecretText(str):
    """A secret as text; only its representation is hidden, since headers and forms need the text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "[secret]"


class Vault:
    """Encrypts with the newest of its keys and decrypts with any; never shows them.

    Args:
        keys: Fernet keys, newest first.
        again: Reads the keys anew, where another process may have added one.
    """

    def __init__(self, *keys: bytes, again: Callable[[], Sequence[bytes]] | None = None) -> None:
        self._again = again
        self._take(keys)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The vault of this installation; a key file (mode 0600) is made on first use."""
        if settings.secret_key is not None:
            return cls(*_keys_in(settings.secret_key.get_secret_value().replace(",", "\n").encode()))
        path = key_path(settings)
        if settings.secret_key_file is None and not path.exists():
            _write_new(path, new_key())

        def read() -> Sequence[bytes]:
            return read_keys(path)

        return cls(*read(), again=read)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Short names of the keys, newest first; they say nothing about them."""
        return tuple(self._keys)

    def lock(self, secret: bytes) -> bytes:
        """The secret, encrypted with the newest key."""
        self._read_again()
        key_id, key = next(iter(self._keys.items()))
        return PREFIX + key_id.encode() + b":" + key.encrypt(bytes(secret))

    def unlock(self, locked: bytes) -> Secret:
        """The secret in clear.

        Raises:
            Unavailable: It was encrypted with a key that is not here, or there is none.
        """
        if not locked:
            raise Unavailable("there is no stored secret any more; enter it again")
        key_id = key_id_of(locked)
        if key_id is not None and key_id not in self._keys:
            self._read_again()
        token = locked[len(PREFIX) + _ID_LENGTH + 1 :] if key_id is not None else locked
        known = self._keys if key_id is None else {key_id: self._keys.get(key_id)}
        for key in known.values():
            if key is not None:
                with contextlib.suppress(InvalidToken):
                    return Secret(key.decrypt(token))
        raise Unavailable(
            "a stored secret cannot be read: it was encrypted with another key. Put the original "
            "secret.key back into the data folder, or enter the secret again."
        )

    def is_current(self, locked: bytes) -> bool:
        """Whether a stored secret is encrypted with the newest key."""
        return key_id_of(locked) == self.key_ids[0]

    def _read_again(self) -> None:
        if self._again is not None:
            # A file that cannot be read for a moment takes no key away from a running process.
            with contextlib.suppress(OSError, InvalidInput):
                self._take(self._again())

    def _take(self, keys: Sequence[bytes]) -> None:
        try:
            found = {key_id(key): Fernet(key) for key in keys}
        except ValueError:
            found = {}
        if not found:
            raise InvalidInput(
                "the secret key is not a Fernet key (44 characters of base64); make one with "
                "`workbench init` or unset WORKBENCH_SECRET_KEY"
            ) from None
        self._keys = found


def new_key() -> bytes:
    """A fresh key."""
    return Fernet.generate_key()


def key_id(key: bytes) -> str:
    """A key's short name."""
    return hashlib.sha256(b"workbench key id\0" + key).hexdigest()[:_ID_LENGTH]


def key_id_of(locked: bytes) -> str | None:
    """The name of the key that a stored secret was encrypted with; None for one of the first release."""
    if not locked.startswith(PREFIX):
        return None
    return locked[len(PREFIX) : len(PREFIX) + _ID_LENGTH].decode("ascii", "replace")


def key_path(settings: Settings) -> Path:
    """The file of keys, whether or not it is there."""
    return settings.secret_key_file or settings.data_dir / "secret.key"


def read_keys(path: Path) -> list[bytes]:
    """The keys of a file, newest first.

    Raises:
        InvalidInput: It cannot be read.
    """
    try:
        return _keys_in(path.read_bytes())
    except OSError as problem:
        raise InvalidInput(
            f"the file of secret keys {path} cannot be read ({type(problem).__name__}); put it there, "
            "readable by the workbench's user, or name another in WORKBENCH_SECRET_KEY_FILE"
        ) from None


def write_keys(path: Path, keys: Sequence[bytes]) -> None:
    """Replace a file of keys at once and for good; readers see the old file or the new one."""
    partial = _partial(path, b"".join(key + b"\n" for key in keys))
    partial.replace(path)
    _settle(path.parent)


def _keys_in(content: bytes) -> list[bytes]:
    return [line.strip() for line in content.splitlines() if line.strip() and not line.startswith(b"#")]


def _write_new(path: Path, key: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may start at once: neither may read the other's half-written key, or replace it.
    partial = _partial(path, key + b"\n")
    with contextlib.suppress(FileExistsError):
        os.link(partial, path)
    partial.unlink()
    _settle(path.parent)


def _partial(path: Path, content: bytes) -> Path:
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".key-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return Path(partial)


def _settle(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
