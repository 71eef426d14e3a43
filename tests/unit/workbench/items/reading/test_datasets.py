from __future__ import annotations

import json
import shutil
from pathlib import Path

import datasets
import pytest

from workbench.errors import InvalidInput
from workbench.items.reading.detect import file_format, open_table, preview
from workbench.items.uploads.files import opened_source

datasets.disable_progress_bars()
FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "text": datasets.Value("large_string"),
        "label": datasets.ClassLabel(names=["no", "yes"]),
        "tags": datasets.List(datasets.Value("string")),
    }
)


def dataset(prefix: str = "a", n: int = 5) -> datasets.Dataset:
    return datasets.Dataset.from_dict(
        {
            "id": [f"{prefix}{i}" for i in range(n)],
            "text": [f"text {i}" for i in range(n)],
            "label": [i % 2 for i in range(n)],
            "tags": [["x"] * (i % 2) for i in range(n)],
        },
        features=FEATURES,
    )


def packed(tmp_path: Path, made, kind: str = "zip", **options) -> Path:
    made.save_to_disk(str(tmp_path / "saved" / "mine"), **options)
    upload = tmp_path / "upload"
    upload.mkdir()
    return Path(shutil.make_archive(str(upload / "x"), kind, tmp_path / "saved")).rename(upload / "source")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_saved_dataset_of_several_files(tmp_path: Path, kind: str):
    path = packed(tmp_path, dataset(), kind, num_shards=3)
    assert file_format(path, "x.csv") == "datasets"
    rows = list(open_table(path, "x").rows)
    assert [row.line for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0].values == {"id": "a0", "text": "text 0", "label": "no"}
    assert rows[1].values == {"id": "a1", "text": "text 1", "label": "yes", "tags": ["x"]}


def test_one_split_is_read_and_others_can_be_chosen(tmp_path: Path):
    made = datasets.DatasetDict({"test": dataset("b", 2), "train": dataset("a", 3)})
    path = packed(tmp_path, made)
    seen = preview(path, "x")
    assert (seen.splits, seen.rows[0].values["id"]) == (["test", "train"], "a0")
    assert 'read is "train"' in seen.notes[0]
    assert [row.values["id"] for row in open_table(path, "x", split="test").rows] == ["b0", "b1"]
    # Read again after another split of the same upload was unpacked.
    assert [row.values["id"] for row in open_table(path, "x", split="train").rows] == ["a0", "a1", "a2"]
    with pytest.raises(InvalidInput, match="no split"):
        open_table(path, "x", split="nowhere")


def test_a_folder_is_packed_by_the_command_line(tmp_path: Path):
    folder = tmp_path / "mine"
    dataset().save_to_disk(str(folder))
    (folder / "link.arrow").symlink_to("/etc/passwd")
    with opened_source(folder) as stream:
        (tmp_path / "source").write_bytes(stream.read())
    assert len(list(open_table(tmp_path / "source", "mine").rows)) == 5
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="no saved dataset"), opened_source(tmp_path / "empty"):
        pass


@pytest.mark.parametrize("feature", [datasets.Image(), datasets.Audio()])
def test_images_and_sound_are_refused(tmp_path: Path, feature):
    path = packed(tmp_path, dataset())
    info = tmp_path / "saved" / "mine" / "dataset_info.json"
    document = json.loads(info.read_text())
    document["features"]["text"] = {"_type": type(feature).__name__}
    info.write_text(json.dumps(document))
    path.unlink()
    again = Path(shutil.make_archive(str(path.parent / "y"), "zip", tmp_path / "saved"))
    with pytest.raises(InvalidInput, match=r'column "text" holds .*only text can be labeled'):
        open_table(again, "x")


def change(tmp_path: Path, name: str, content: bytes) -> Path:
    path = packed(tmp_path, dataset())
    (tmp_path / "saved" / "mine" / name).write_bytes(content)
    return Path(shutil.make_archive(str(path.parent / "y"), "tar", tmp_path / "saved"))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("state.json", b"[]", "no JSON object"),
        ("state.json", b'{"_data_files": [{"filename": "../../etc/passwd"}]}', "not in the archive"),
        ("state.json", b'{"_data_files": []}', "not in the archive"),
        ("state.json", b'{"_indices_files": [1], "_data_files": []}', "old version"),
        (
            "data-00000-of-00001.arrow",
            b"\xff\xff\xff\xff\x00\x00\x00\x7f" + b"x" * 100,
            "cannot be read as Arrow",
        ),
        ("data-00000-of-00001.arrow", b"nothing", "cannot be read as Arrow"),
        ("dataset_dict.json", b'{"splits": ["../.."]}', "splits whose folders are not there"),
        ("other/state.json", b"{}", "no single dataset"),
    ],
)
def test_damaged_or_lying_folders_are_refused(tmp_path: Path, name: str, content: bytes, words: str):
    (tmp_path / "saved" / "mine" / "other").mkdir(parents=True)
    with pytest.raises(InvalidInput, match=words):
        list(open_table(change(tmp_path, name, content), "x").rows)
