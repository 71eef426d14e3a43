"""Tables of persons, pools, suppliers, rate cards and Label Studio servers with their accounts."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ForeignKey, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.types import Base, Id


class SupplierRow(Base):
    """A team that provides annotators."""

    __tablename__ = "suppliers"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    time_zone: Mapped[str] = mapped_column(String(64))


class PoolRow(Base):
    """Annotators of one supplier with the same skill and language."""

    __tablename__ = "pools"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    supplier_id: Mapped[int] = mapped_column(ForeignKey("suppliers.id"))
    skill: Mapped[str] = mapped_column(String(64))
    language: Mapped[str] = mapped_column(String(20))


class PersonRow(Base):
    """Somebody behind one or more Label Studio accounts; may sign in here too (`user_id`)."""

    __tablename__ = "persons"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(254), unique=True)
    supplier_id: Mapped[int | None] = mapped_column(ForeignKey("suppliers.id"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), unique=True)
    active: Mapped[bool]
    created_at: Mapped[datetime]


class PoolMemberRow(Base):
    """Who works in which pool, from when till when."""

    __tablename__ = "pool_members"

    pool_id: Mapped[int] = mapped_column(ForeignKey("pools.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    joined_at: Mapped[datetime]
    left_at: Mapped[datetime | None]


class ServerRow(Base):
    """One Label Studio server; its token is stored encrypted."""

    __tablename__ = "label_studio_servers"

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


class AccountRow(Base):
    """A person's account on one Label Studio server."""

    __tablename__ = "label_studio_accounts"
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


class InvitationRow(Base):
    """A link with which a person sets a password and gets their accounts; only its hash is kept."""

    __tablename__ = "invitations"

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


class RateCardRow(Base):
    """A price per item or per hour, for a pool (or every pool of a supplier), from one time to another."""

    __tablename__ = "rate_cards"

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
