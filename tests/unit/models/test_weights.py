import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from models.errors import ModelUnavailable, WeightsRefused
from models.weights import (
    hash_folder,
    matters,
    read_json,
    read_safetensors_header,
    resolve_inside,
    safe_files,
    verify_folder,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    save_file({"a": np.ones((2, 3), np.float32), "b": np.zeros(4, np.int64)}, directory / "model.safetensors")
    (directory / "config.json").write_text("{}")
    (directory / "README.md").write_text("about")
    return directory


def test_header_gives_types_and_shapes(folder: Path) -> None:
    header = read_safetensors_header(folder / "model.safetensors")
    assert {name: (info.dtype, info.shape) for name, info in header.items()} == {
        "a": ("F32", (2, 3)),
        "b": ("I64", (4,)),
    }
    assert sum(info.parameters for info in header.values()) == 10


@pytest.mark.parametrize("keep", [0, 4, 8, 20, 60, -1])
def test_truncated_safetensors_is_refused(folder: Path, keep: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsRefused, match=r"model\.safetensors"):
        read_safetensors_header(path)


def test_bytes_after_the_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(WeightsRefused, match="should hold"):
        read_safetensors_header(path)


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        b'{"a":5}',
        b"[]",
        b"{not json",
        b"[" * 5000,
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    with pytest.raises(WeightsRefused):
        read_safetensors_header(path)


def test_pickle_named_safetensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps({"a": list(range(1000))}))
    with pytest.raises(WeightsRefused, match="not a safetensors file"):
        read_safetensors_header(path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "x.pkl", "sub/x.pt", "modeling.py", "lib.SO", "x.npy"])
def test_files_that_can_run_code_are_refused(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    with pytest.raises(WeightsRefused, match=name.rsplit("/", maxsplit=1)[-1]):
        safe_files(folder)


@pytest.mark.parametrize("content", [pickle.dumps([1]), b"PK\x03\x04rest", b"\x7fELFrest"])
def test_code_under_another_name_is_refused(folder: Path, content: bytes) -> None:
    (folder / "vocab.txt").write_bytes(content)
    with pytest.raises(WeightsRefused, match=r"vocab\.txt"):
        safe_files(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", "", "a\\..\\b", "a\0b"])
def test_names_that_lead_out_are_refused(folder: Path, name: str) -> None:
    with pytest.raises(WeightsRefused, match="leads out"):
        resolve_inside(folder, name)


def test_links_that_leave_the_folder_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.json").write_text("{}")
    (folder / "extra.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(WeightsRefused, match="link"):
        safe_files(folder)
    with pytest.raises(WeightsRefused, match="link"):
        resolve_inside(folder, "extra.json")


def test_links_inside_the_folder_are_fine(folder: Path) -> None:
    (folder / "again.json").symlink_to("config.json")
    assert "again.json" in safe_files(folder)


def test_broken_link_is_a_clear_error(folder: Path) -> None:
    (folder / "gone.json").symlink_to("nowhere.json")
    with pytest.raises(WeightsRefused, match=r"gone\.json"):
        safe_files(folder)


def test_registered_folder_verifies_and_docs_may_change(folder: Path) -> None:
    hashes = hash_folder(folder)
    assert sorted(hashes) == ["config.json", "model.safetensors"]
    (folder / "README.md").write_text("more")
    verify_folder(folder, hashes)


def test_changed_added_and_missing_files_are_told_apart(folder: Path) -> None:
    hashes = hash_folder(folder)
    (folder / "added_tokens.json").write_text("{}")
    with pytest.raises(WeightsRefused, match=r"added_tokens\.json was added"):
        verify_folder(folder, hashes)
    (folder / "added_tokens.json").unlink()
    (folder / "config.json").write_text('{"a": 1}')
    with pytest.raises(WeightsRefused, match=r"config\.json .* has SHA-256"):
        verify_folder(folder, hashes)
    (folder / "config.json").unlink()
    with pytest.raises(ModelUnavailable, match=r"config\.json is missing"):
        verify_folder(folder, hashes)


def test_no_hashes_is_refused(folder: Path) -> None:
    with pytest.raises(WeightsRefused, match="no hashes"):
        verify_folder(folder, {})


def test_missing_folder_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="does not exist"):
        safe_files(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["[1]", "{", "[" * 100_000])
def test_broken_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WeightsRefused, match=r"config\.json"):
        read_json(tmp_path / "config.json")


def test_licences_and_cards_do_not_matter() -> None:
    assert not matters("LICENSE")
    assert not matters("NOTICE.txt")
    assert not matters(".gitattributes")
    assert matters("vocab.txt")
