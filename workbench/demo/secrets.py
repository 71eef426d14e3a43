"""Sign-ins of a demo, random for each data folder and shown only by the demo."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from workbench.errors import InvalidInput

FILE = "demo.json"
PEOPLE = ("Ana Lima", "Ben Okafor", "Chen Yu", "Dana Novak", "Eli Haddad", "Fay Rossi")


@dataclass(frozen=True)
class SignIns:
    """Who can sign in where.

    Attributes:
        admin_email: The workbench's admin, and the owner of the local Label Studio.
        admin_password: For both.
        label_studio_token: The owner's token.
        password: Of the six replay accounts, in both places.
    """

    admin_email: str
    admin_password: str
    label_studio_token: str
    password: str

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """The sign-ins of a data folder, made on first use (mode 0600).

        Raises:
            InvalidInput: The file cannot be read as sign-ins.
        """
        path = folder / FILE
        if not path.exists():
            made = cls(
                admin_email="admin@example.org",
                admin_password=secrets.token_urlsafe(12),
                label_studio_token=secrets.token_hex(20),
                password=secrets.token_urlsafe(12),
            )
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                json.dump(asdict(made), file)
            return made
        try:
            return cls(**json.loads(path.read_text()))
        except (ValueError, TypeError):
            raise InvalidInput(f"{path} cannot be read; start over with `make demo ARGS=--fresh`") from None


def email_of(name: str) -> str:
    """The address of a replay account."""
    return f"{name.split(maxsplit=1)[0].lower()}@example.org"
