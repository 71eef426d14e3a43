"""Tables of persons, pools, suppliers, rate cards and Label Studio servers with their accounts."""

from __future__ import annotations

import secrets
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, validates

from workbench.db.tenancy import Own, Through
from workbench.db.types import Base, Id, Json


def fresh_public_id() -> str:
    """An opaque id; chance is all there is to it, so rows may draw it themselves."""
    return secrets.token_hex(12)


class SupplierRow(Base):
    """A team that provides annotators."""

    __tablename__ = "suppliers"
    __table_args__ = (Index("uq_suppliers_public_id", "public_id", unique=True),)
    __tenant__ = Own("id", only=frozenset({"id", "name", "time_zone"}))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    time_zone: Mapped[str] = mapped_column(String(64))
    public_id: Mapped[str | None] = mapped_column(String(32), default=fresh_public_id)
    server_id: Mapped[int | None] = mapped_column(Id)
    email_domains: Mapped[list[Any] | None] = mapped_column(Json)
    active: Mapped[bool] = mapped_column(server_default=text("true"), default=True)


class SupplierProjectRow(Base):
    """A project that a supplier works on, under the name that the supplier is told."""

    __tablename__ = "supplier_projects"
    __tenant__ = Own()

    supplier_id: Mapped[int] = mapped_column(ForeignKey("suppliers.id"), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True, default=fresh_public_id)
    title: Mapped[str] = mapped_column(String(200))
    since: Mapped[datetime]


class PoolRow(Base):
    """Annotators of one supplier with the same skill and language."""

    __tablename__ = "pools"
    __table_args__ = (Index("uq_pools_public_id", "public_id", unique=True),)
    __tenant__ = Own()

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    supplier_id: Mapped[int] = mapped_column(ForeignKey("suppliers.id"))
    skill: Mapped[str] = mapped_column(String(64))
    language: Mapped[str] = mapped_column(String(20))
    public_id: Mapped[str | None] = mapped_column(String(32), default=fresh_public_id)


class PersonRow(Base):
    """Somebody behind one or more Label Studio accounts; may sign in here too (`user_id`)."""

    __tablename__ = "persons"
    __tenant__ = Own()

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(254), unique=True)
    supplier_id: Mapped[int | None] = mapped_column(ForeignKey("suppliers.id"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), unique=True)
    active: Mapped[bool]
    created_at: Mapped[datetime]
    erased_at: Mapped[datetime | None]


class PoolMemberRow(Base):
    """Who works in which pool, from when till when."""

    __tablename__ = "pool_members"
    __tenant__ = Own()

    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    joined_at: Mapped[datetime]
    left_at: Mapped[datetime | None]
    supplier_id: Mapped[int | None] = mapped_column(Id)


class ServerRow(Base):
    """One Label Studio server; its token is stored encrypted."""

    __tablename__ = "label_studio_servers"
    __table_args__ = (Index("uq_label_studio_servers_public_id", "public_id", unique=True),)
    __tenant__ = Through(("id",), "lanes", "server_id", only=frozenset({"id", "name", "url", "state"}))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    url: Mapped[str] = mapped_column(String(500), unique=True)
    token: Mapped[bytes] = mapped_column(LargeBinary)
    region: Mapped[str] = mapped_column(String(20))
    version: Mapped[str] = mapped_column(String(40))
    capabilities: Mapped[dict[str, Any]]
    epoch: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))
    problem: Mapped[str] = mapped_column(Text)
    checked_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    public_id: Mapped[str | None] = mapped_column(String(32), default=fresh_public_id)
    supplier_id: Mapped[int | None] = mapped_column(Id)

    @validates("url")
    def _another_origin_needs_its_own_token(self, _name: str, url: str) -> str:
        """The token was given for one origin; it is forgotten rather than sent to another."""
        if self.url is not None and self.token and urlsplit(url)[:2] != urlsplit(self.url)[:2]:
            self.token = b""
        return url


class AccountRow(Base):
    """A person's account on one Label Studio server."""

    __tablename__ = "label_studio_accounts"
    __tenant__ = Own()
    __table_args__ = (
        UniqueConstraint("server_id", "ls_user_id"),
        UniqueConstraint("server_id", "email"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("label_studio_servers.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    ls_user_id: Mapped[int]
    email: Mapped[str] = mapped_column(String(254))
    created_at: Mapped[datetime]
    supplier_id: Mapped[int | None] = mapped_column(Id)


class InvitationRow(Base):
    """A link with which a person sets a password and gets their accounts; only its hash is kept."""

    __tablename__ = "invitations"
    __tenant__ = Own(only=frozenset({"person_id", "supplier_id", "expires_at", "accepted_at"}))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    token_sha256: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    role: Mapped[str] = mapped_column(String(20))
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id"))
    server_id: Mapped[int | None] = mapped_column(ForeignKey("label_studio_servers.id"))
    created_by: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    supplier_id: Mapped[int | None] = mapped_column(Id)


class RateCardRow(Base):
    """A price per item or per hour, for a pool (or every pool of a supplier), from one time to another."""

    __tablename__ = "rate_cards"
    __tenant__ = Own()

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id"))
    supplier_id: Mapped[int | None] = mapped_column(ForeignKey("suppliers.id"))
    pool_id: Mapped[int | None] = mapped_column(ForeignKey("pools.id"))
    skill: Mapped[str] = mapped_column(String(64))
    unit: Mapped[str] = mapped_column(String(10))
    price: Mapped[Decimal]
    currency: Mapped[str] = mapped_column(String(3))
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
