"""Files made to harm: each is refused with a sentence, in little memory and time, judged by what it holds."""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[5]
CASES: dict[str, tuple[Callable[[Path], None], str]] = {}
MB = 1_000_000
STATE = b'{"_data_files": [{"filename": "data.arrow"}]}'


def case(words: str) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """A file and what the sentence that refuses it must say."""

    def keep(build: Callable[[Path], None]) -> Callable[[Path], None]:
        CASES[build.__name__] = (build, words)
        return build

    return keep


def zipped(path: Path, members: dict[str, bytes], **options) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as packed:
        for name, content in members.items():
            packed.writestr(name, content)


def taped(path: Path, *infos: tarfile.TarInfo) -> None:
    with tarfile.open(path, "w") as tape:
        state = tarfile.TarInfo("d/state.json")
        state.size = len(STATE)
        tape.addfile(state, io.BytesIO(STATE))
        for info in infos:
            tape.addfile(info, io.BytesIO(b"x" * info.size))


def info(name: str, **values) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(made, key, value)
    return made


def workbook(sheet: bytes, *more: tuple[str, bytes]) -> dict[str, bytes]:
    """The parts of a workbook with this sheet."""
    kind = b"application/vnd.openxmlformats-officedocument.spreadsheetml"
    relation = b"http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    return {
        "[Content_Types].xml": b'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        b'<Override PartName="/xl/workbook.xml" ContentType="' + kind + b'.sheet.main+xml"/>'
        b'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="' + kind + b'.worksheet+xml"/>'
        b'<Override PartName="/xl/sharedStrings.xml" ContentType="' + kind + b'.sharedStrings+xml"/></Types>',
        "xl/workbook.xml": b'<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="'
        + relation + b'"><sheets><sheet name="s" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
        b'relationships"><Relationship Id="rId1" Type="' + relation + b'/worksheet" Target="worksheets/sheet1.xml"/>'
        b"</Relationships>",
        "xl/worksheets/sheet1.xml": sheet,
        **dict(more),
    }  # fmt: skip


# --- archives ---------------------------------------------------------------------------------------------


@case("times its size")
def zip_bomb(path: Path) -> None:
    zipped(path, {"d/state.json": STATE, "d/data.arrow": bytes(300 * MB)})


@case("unfolds to more than it states|damaged")
def zip_that_lies_about_sizes(path: Path) -> None:
    zipped(path, {"d/state.json": STATE, "d/data.arrow": bytes(40 * MB)})
    content = path.read_bytes().replace(struct.pack("<I", 40 * MB), struct.pack("<I", 1000))
    path.write_bytes(content)


@case("members")
def zip_of_many(path: Path) -> None:
    zipped(path, {"d/state.json": STATE} | {f"d/{i}": b"" for i in range(5001)})


@case("leads elsewhere")
def zip_with_dots(path: Path) -> None:
    zipped(path, {"d/state.json": STATE, "d/../../../etc/cron.d/x": b"x"})


@case("leads elsewhere")
def zip_with_absolute_name(path: Path) -> None:
    zipped(path, {"d/state.json": STATE, "/etc/passwd": b"x"})


@case("leads elsewhere")
def zip_with_drive(path: Path) -> None:
    zipped(path, {"d/state.json": STATE, "C:\\windows\\x": b"x"})


@case("another archive")
def zip_in_zip(path: Path) -> None:
    zipped(path, {"d/state.json": STATE, "d/more.zip": b"PK"})


@case("twice")
def zip_with_doubled_name(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("d/state.json", STATE)
        with pytest.warns(UserWarning, match="Duplicate name"):
            packed.writestr("d/state.json", STATE)


@case("link or device")
def zip_with_symlink(path: Path) -> None:
    link = zipfile.ZipInfo("d/data.arrow")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("d/state.json", STATE)
        packed.writestr(link, "/etc/passwd")


@case("no dataset")
def zip_of_nothing_known(path: Path) -> None:
    zipped(path, {"a.csv": b"text\nx"})


@case("link or device")
def tar_with_symlink(path: Path) -> None:
    taped(path, info("d/data.arrow", type=tarfile.SYMTYPE, linkname="/etc/passwd"))


@case("link or device")
def tar_with_hard_link(path: Path) -> None:
    taped(path, info("d/data.arrow", type=tarfile.LNKTYPE, linkname="/etc/passwd"))


@case("link or device")
def tar_with_device(path: Path) -> None:
    taped(path, info("d/data.arrow", type=tarfile.CHRTYPE))


@case("leads elsewhere")
def tar_with_dots(path: Path) -> None:
    taped(path, info("d/../../x", size=1))


@case("leads elsewhere")
def tar_with_absolute_name(path: Path) -> None:
    taped(path, info("/etc/passwd", size=1))


@case("twice")
def tar_with_doubled_name(path: Path) -> None:
    taped(path, info("d/data.arrow", size=1), info("d/data.arrow", size=1))


@case("damaged|unfolds")
def tar_that_ends_early(path: Path) -> None:
    taped(path, info("d/data.arrow", size=5000))
    path.write_bytes(path.read_bytes()[:3000])


@case("gzip archive")
def gzip_named_csv(path: Path) -> None:
    path.write_bytes(gzip.compress(bytes(100 * MB)))


# --- workbooks --------------------------------------------------------------------------------------------

SHEET = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>'


@case("times its size|unfolds")
def xlsx_bomb(path: Path) -> None:
    zipped(path, workbook(SHEET % (b"<row><c><v>1</v></c></row>" * 10_000_000)))


@case("one part|times its size")
def xlsx_with_endless_strings(path: Path) -> None:
    zipped(path, workbook(SHEET % b"", ("xl/sharedStrings.xml", b"a" * (250 * MB))))


@case("XML entities|damaged")
def xlsx_with_entities(path: Path) -> None:
    laughs = b"".join(b'<!ENTITY l%d "%s">' % (i, b"&l%d;" % (i - 1) * 10) for i in range(1, 10))
    head = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">' + laughs + b"]>"
    cell = b'<row r="1"><c t="inlineStr"><is><t>&l9;</t></is></c></row>'
    zipped(path, workbook(head + SHEET % cell))


@case("XML entities|damaged")
def xlsx_that_reads_files(path: Path) -> None:
    head = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    zipped(path, workbook(head + SHEET % b'<row r="1"><c t="inlineStr"><is><t>&x;</t></is></c></row>'))


# --- Parquet ----------------------------------------------------------------------------------------------


@case("cut off")
def parquet_cut_off(path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"] * 1000}), path)
    path.write_bytes(path.read_bytes()[:-20])


@case("cut off|footer")
def parquet_with_absurd_footer(path: Path) -> None:
    path.write_bytes(b"PAR1" + bytes(100) + struct.pack("<I", 2**31 - 1) + b"PAR1")


@case("damaged")
def parquet_with_nonsense_footer(path: Path) -> None:
    path.write_bytes(b"PAR1" + b"\x15\xff" * 400 + struct.pack("<I", 700) + b"PAR1")


@case("footer of 20 MB")
def parquet_with_long_footer(path: Path) -> None:
    path.write_bytes(b"PAR1" + bytes(20 * MB) + struct.pack("<I", 20 * MB) + b"PAR1")


@case("a page of the Parquet file unfolds|times its size")
def parquet_bomb(path: Path) -> None:
    texts = pa.array(["a" * (100 * MB)] * 3)
    pq.write_table(
        pa.table({"text": texts}), path, compression="zstd", use_dictionary=False, write_statistics=False
    )


@case("unfolds to more than 300 MB|has more|longer")
def parquet_that_repeats_one_long_text(path: Path) -> None:
    indices = pa.array([0] * 200_000, pa.int32())
    texts = pa.DictionaryArray.from_arrays(indices, pa.array(["ab" * 100_000]))
    pq.write_table(pa.table({"text": texts}), path, compression="zstd", write_statistics=False)


@case("nested deeper")
def parquet_nested_without_end(path: Path) -> None:
    deep = pa.string()
    for _ in range(40):
        deep = pa.list_(deep)
    pq.write_table(pa.table({"text": ["a"], "deep": pa.array([None], deep)}), path)


# --- text -------------------------------------------------------------------------------------------------


@case("no text")
def noise_named_csv(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 1000)


@case("no row that can be read|no JSON object|longer than 4 million")
def json_in_one_endless_line(path: Path) -> None:
    path.write_bytes(b'{"text": "' + b"a" * (60 * MB))


@case("no JSON object|recursion|deeper")
def json_nested_without_end(path: Path) -> None:
    path.write_bytes(b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n")


@case("nested deeper|no JSON object")
def json_nested_too_deep(path: Path) -> None:
    path.write_bytes(b'{"text": "a", "x": ' + b"[" * 60 + b"]" * 60 + b"}\n")


@case("only empty lines|longer than 4 million|no row")
def csv_in_one_endless_line(path: Path) -> None:
    path.write_bytes(b"text\n" + b"a" * (60 * MB))


@case("no row that can be read")
def csv_with_endless_field(path: Path) -> None:
    path.write_bytes(b'text\n"' + b"a\n" * (10 * MB))


@case("no text|NUL")
def csv_of_nul(path: Path) -> None:
    path.write_bytes(b"text\n" + bytes(MB))


# ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judge() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.unit.workbench.items.reading.judge"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        yield running
        running.stdin.close()  # type: ignore[union-attr]


def judged(judge: subprocess.Popen[str], path: Path) -> dict:
    judge.stdin.write(f"{path}\n")  # type: ignore[union-attr]
    judge.stdin.flush()  # type: ignore[union-attr]
    return json.loads(judge.stdout.readline())  # type: ignore[union-attr]


@pytest.mark.parametrize("name", list(CASES))
def test_refused_with_a_sentence(tmp_path: Path, judge: subprocess.Popen[str], name: str):
    build, words = CASES[name]
    path = tmp_path / "items.csv"  # whatever it is called, its content decides
    build(path)
    answer = judged(judge, path)
    told = answer.get("refused") or " ".join(answer.get("problems", []))
    assert told, answer
    assert re.search(words, told), told
    assert len(told) < 400
    assert "Traceback" not in told


def test_an_honest_file_still_passes(tmp_path: Path, judge: subprocess.Popen[str]):
    path = tmp_path / "items.bin"
    pq.write_table(pa.table({"text": [f"text {i}" for i in range(50_000)]}), path)
    assert judged(judge, path)["rows"] == 50_000
