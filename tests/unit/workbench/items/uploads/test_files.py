from __future__ import annotations

import io

import pytest

from workbench.errors import InvalidInput, NotFound, TooLarge
from workbench.items.uploads.files import find_upload, save_upload, shown_name, upload_id_of
from workbench.outside import Outside


def test_a_name_is_never_a_path(outside: Outside):
    path = save_upload(outside, 7, "../../../etc/cron.d/x\x00.csv", io.BytesIO(b"id,text\n"))
    assert path.is_relative_to(outside.settings.data_dir.resolve() / "uploads")
    assert path.name == "source"
    upload, again = find_upload(outside, 7, upload_id_of(path))
    assert (upload.file_name, upload.bytes, again) == ("x.csv", 8, path)


@pytest.mark.parametrize("upload_id", ["", "..", "../../x", "0" * 24])
def test_unknown_uploads(outside: Outside, upload_id: str):
    with pytest.raises(NotFound):
        find_upload(outside, 7, upload_id)


def test_an_upload_belongs_to_its_project(outside: Outside):
    path = save_upload(outside, 7, "x.csv", io.BytesIO(b"id,text\n"))
    with pytest.raises(NotFound):
        find_upload(outside, 8, upload_id_of(path))


def test_too_large_and_empty_leave_nothing(outside: Outside):
    object.__setattr__(outside.settings, "max_upload_mb", 1)
    with pytest.raises(TooLarge, match="1 MB"):
        save_upload(outside, 7, "x.csv", io.BytesIO(b"0" * 1_000_001))
    with pytest.raises(InvalidInput, match="empty"):
        save_upload(outside, 7, "x.csv", io.BytesIO(b""))
    assert not list((outside.settings.data_dir / "uploads").iterdir())


@pytest.mark.parametrize(
    ("given", "shown"),
    [("C:\\data\\a.csv", "a.csv"), ("", "items"), ("\n\t", "items"), ("数据.csv", "数据.csv")],
)
def test_shown_name(given: str, shown: str):
    assert shown_name(given) == shown
