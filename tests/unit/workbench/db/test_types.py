from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from workbench.db.types import Money, Utc

AMOUNTS = st.integers(-(10**15), 10**15).map(lambda micro: Decimal(micro) / 1_000_000)


class Own(DeclarativeBase):
    type_annotation_map: ClassVar = {datetime: Utc, Decimal: Money}


class Row(Own):
    __tablename__ = "rows"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[Decimal | None]
    at: Mapped[datetime | None]


@pytest.fixture(scope="module")
def engine():
    made = create_engine("sqlite://")
    Own.metadata.create_all(made)
    yield made
    made.dispose()


@given(st.lists(AMOUNTS, min_size=1, max_size=20))
def test_sums_of_money_are_exact(engine, amounts):
    with Session(engine) as session:
        session.execute(insert(Row), [{"amount": amount} for amount in amounts])
        assert list(session.scalars(select(Row.amount).order_by(Row.id))) == amounts
        assert session.scalar(select(func.sum(Row.amount))) == sum(amounts)
        session.rollback()


ZONES = st.integers(-720, 720).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=ZONES))  # noqa: DTZ001
def test_a_time_comes_back_as_the_same_instant_in_utc(engine, at):
    with Session(engine) as session:
        session.execute(insert(Row), [{"at": at}])
        found = session.scalar(select(Row.at))
        assert found == at
        assert found.utcoffset() == timedelta(0)
        session.rollback()


def test_a_naive_time_is_refused(engine):
    with Session(engine) as session, pytest.raises(StatementError, match="without zone"):
        session.execute(insert(Row), [{"at": datetime(2026, 1, 1)}])  # noqa: DTZ001


def test_postgresql_keeps_the_zone():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert Utc().process_bind_param(at, postgresql.dialect()) == at
    assert Utc().process_bind_param(at, sqlite.dialect()).tzinfo is None
