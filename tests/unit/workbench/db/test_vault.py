import stat
import threading

import pytest
from cryptography.fernet import Fernet

from workbench.db.vault import Vault
from workbench.errors import InvalidInput, Unavailable
from workbench.settings import load_settings


def test_a_secret_comes_back_and_does_not_lie_in_clear(tmp_path):
    vault = Vault.open(load_settings(data_dir=tmp_path))
    locked = vault.lock(b"token-of-label-studio")
    assert b"token-of" not in locked
    assert Vault.open(load_settings(data_dir=tmp_path)).unlock(locked) == b"token-of-label-studio"


def test_only_the_owner_may_read_the_key_file(tmp_path):
    Vault.open(load_settings(data_dir=tmp_path))
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


def test_processes_that_start_at_once_share_one_key(tmp_path):
    barrier = threading.Barrier(8)
    locked = []

    def start():
        barrier.wait()
        locked.append(Vault.open(load_settings(data_dir=tmp_path)).lock(b"x"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    vault = Vault.open(load_settings(data_dir=tmp_path))
    assert [vault.unlock(one) for one in locked] == [b"x"] * 8


def test_another_key_says_what_to_do():
    locked = Vault(Fernet.generate_key()).lock(b"secret")
    with pytest.raises(Unavailable, match=r"Put the original secret\.key back"):
        Vault(Fernet.generate_key()).unlock(locked)


def test_a_key_that_is_none_says_how_to_make_one():
    with pytest.raises(InvalidInput, match="workbench init") as told:
        Vault(b"not a key")
    assert "not a key" not in str(told.value).replace("is not a Fernet key", "")
