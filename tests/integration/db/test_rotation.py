import os
import signal
import stat
import subprocess
import sys

import pytest
from sqlalchemy import LargeBinary, select, update

from tests.factories import make_server
from workbench.activity.tables import EventRow
from workbench.db.tables import all_tables
from workbench.db.vault import Vault, key_path, new_key, read_keys, write_keys
from workbench.errors import InvalidInput, Unavailable, WrongState
from workbench.keys import forget_old, rotate, standing
from workbench.outside import outside_of
from workbench.people.tables import ServerRow
from workbench.settings import load_settings

TOKENS = {"one": b"token-one", "two": b"token-two", "three": b"token-three"}


@pytest.fixture
def there(outside):
    with outside.db.write() as session:
        for name, token in TOKENS.items():
            make_server(session, name=name, url=f"http://{name}.test", token=outside.vault.lock(token))
    return outside


def tokens(outside, vault=None):
    with outside.db.read() as session:
        rows = session.scalars(select(ServerRow)).all()
    return {row.name: (vault or outside.vault).unlock(row.token) for row in rows}


def test_every_secret_is_encrypted_with_the_new_key_and_comes_back(there):
    before = Vault.open(there.settings).key_ids
    done = rotate(there, by="cli (op)")
    assert (done.encrypted, done.resumed) == (3, False)
    found = standing(there)
    assert (found.current, found.old, found.unreadable) == (3, 0, ())
    assert found.key_ids == (done.key_id, *before)
    # The vault that was open all along reads the new key by itself.
    assert tokens(there) == TOKENS
    assert stat.S_IMODE(key_path(there.settings).stat().st_mode) == 0o600


def test_it_is_on_record_without_the_key(there):
    done = rotate(there, by="cli (op)")
    with there.db.read() as session:
        event = session.scalar(select(EventRow).where(EventRow.verb == "key.rotated"))
    assert (event.actor, event.about) == ("cli (op)", f"key:{done.key_id}")
    assert event.after == {"secrets": 3, "resumed": False}
    for key in read_keys(key_path(there.settings)):
        assert key.decode() not in str(event.after)


def test_secrets_of_the_first_release_are_found_and_taken_along(there):
    with there.db.write() as session:
        bare = there.vault.lock(b"old form").split(b":", 2)[2]
        session.execute(update(ServerRow).where(ServerRow.name == "one").values(token=bare))
    assert standing(there).old == 1
    assert rotate(there, by="x").resumed
    assert tokens(there) == TOKENS | {"one": b"old form"}


def test_a_process_under_way_encrypts_with_the_new_key(there):
    old = Vault.open(there.settings)
    rotate(there, by="x")
    assert Vault.open(there.settings).is_current(old.lock(b"later"))


def test_old_keys_are_forgotten_only_when_nothing_needs_them(there):
    first = Vault.open(there.settings)
    kept = first.lock(b"in a back-up")
    write_keys(key_path(there.settings), [new_key(), *read_keys(key_path(there.settings))])
    with pytest.raises(WrongState, match="key rotate"):
        forget_old(there, by="x")
    rotate(there, by="x")
    assert Vault.open(there.settings).unlock(kept) == b"in a back-up"
    assert forget_old(there, by="x") == 1
    assert tokens(there) == TOKENS
    with pytest.raises(Unavailable):
        Vault.open(there.settings).unlock(kept)
    assert forget_old(there, by="x") == 0


def test_what_no_key_reads_stops_nothing_and_is_named(there):
    with there.db.write() as session:
        session.execute(
            update(ServerRow).where(ServerRow.name == "two").values(token=Vault(new_key()).lock(b"lost"))
        )
    assert rotate(there, by="x").encrypted == 2
    found = standing(there)
    assert (found.current, found.old, found.unreadable) == (2, 0, ("label_studio_servers.token",))


def test_keys_from_the_environment(tmp_path, there):
    first, second = new_key().decode(), new_key().decode()
    path = key_path(there.settings)
    own = read_keys(path)[0].decode()
    settings = there.settings

    def with_keys(*keys):
        made = load_settings(
            data_dir=settings.data_dir, database_url=settings.database_url, secret_key=",".join(keys)
        )
        return outside_of(made, label_studio=there.label_studio, now=there.now)

    with_one = with_keys(own)
    with pytest.raises(InvalidInput, match="before it, with a comma"):
        rotate(with_one, by="x")
    with_one.db.close()
    both = with_keys(first, second, own)
    assert rotate(both, by="x").encrypted == 3
    assert tokens(both) == TOKENS
    assert read_keys(path) == [own.encode()]
    both.db.close()


def test_a_file_of_keys_from_elsewhere(tmp_path, there):
    folder = tmp_path / "credentials"
    folder.mkdir()
    path = folder / "key"
    path.write_bytes(b"# newest first\n" + new_key() + b"\n\n" + read_keys(key_path(there.settings))[0])
    made = outside_of(
        load_settings(
            data_dir=there.settings.data_dir, database_url=there.settings.database_url, secret_key_file=path
        ),
        label_studio=there.label_studio,
        now=there.now,
    )
    assert tokens(made) == TOKENS
    assert rotate(made, by="x").encrypted == 3
    assert len(read_keys(path)) == 2
    made.db.close()
    with pytest.raises(InvalidInput, match="cannot be read"):
        Vault.open(load_settings(data_dir=tmp_path, secret_key_file=folder / "none"))
    assert not (folder / "none").exists()


KILLED = """
import os, signal, sys
from workbench import keys
from workbench.cli.opening import outside_of_command
from workbench.settings import load_settings
place = sys.argv[2]
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if place == "before the file":
    keys.write_keys = die
if place == "after the file":
    keys.record = keys._encrypt_anew = die
if place == "before the commit":
    keys.record = die
keys.rotate(outside_of_command(load_settings(data_dir=sys.argv[1], database_url=sys.argv[3])), by="x")
die()
"""


@pytest.mark.parametrize("place", ["before the file", "after the file", "before the commit", "at the end"])
def test_a_rotation_killed_anywhere_is_brought_to_its_end(there, place):
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(there.settings.data_dir), place, there.settings.database_url],
        env=os.environ | {"PYTHONPATH": "."},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert tokens(there, Vault.open(there.settings)) == TOKENS
    before = standing(there)
    done = rotate(there, by="x")
    assert done.resumed is (place in {"after the file", "before the commit"})
    if done.resumed:
        assert done.key_id == before.key_ids[0]
    assert standing(there).old == 0
    assert tokens(there, Vault.open(there.settings)) == TOKENS
    assert [one.name for one in there.settings.data_dir.glob(".key-*")] == []


def test_no_place_of_secrets_is_overlooked():
    # Every column that holds what the vault locked; a new one joins by itself, and is named here.
    places = {
        f"{table.name}.{column.name}"
        for table in all_tables().sorted_tables
        for column in table.columns
        if isinstance(column.type, LargeBinary) and column.type.length is None
    }
    assert places == {
        "label_studio_servers.token",
        "lottery_keys.key",
        "second_factors.secret_locked",
        "webhook_receivers.secret",
        "webhook_receivers.previous",
        "inbox.body",
    }


def test_a_secret_does_not_show_itself(there):
    secret = there.vault.unlock(there.vault.lock(b"canary"))
    for shown in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r}",
        repr(secret.decode()),
        repr({"a": secret}),
    ):
        assert "canary" not in shown
    assert secret == b"canary"
    assert f"Token {secret.decode()}" == "Token canary"
