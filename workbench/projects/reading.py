"""Project documents from YAML or JSON text, with the line of everything that is wrong.

Nothing in a document is executed: tags are refused, `${env:NAME}` stays a reference, and a label config is
read only from a file below the document's own folder.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from workbench.errors import InvalidInput, NotFound, TooLarge
from workbench.projects.problems import Place, Problem, SpecificationInvalid, problems_of
from workbench.projects.references import reference_problems
from workbench.projects.specification import ProjectSpecification

MAX_BYTES = 1_000_000
NOT_FOR_APPLYING = "not_for_applying"
"""Stands in a document that was given out in part, so that nobody takes it for the whole."""
_PRICES_LEFT_OUT = "prices are left out: ask somebody who may read them for the whole document"
_MOST_NODES = 50_000
_DEEPEST = 40
_PLAIN_TAGS = {"map", "seq", "str", "int", "float", "bool", "null", "timestamp"}


def read_file(path: Path) -> ProjectSpecification:
    """The project that a YAML or JSON file describes; a label config named in it is read too.

    Raises:
        NotFound: There is no such file.
        TooLarge: It is larger than a project document can be.
        SpecificationInvalid: With file, line and place of everything that is wrong.
    """
    text = _text_of(path, "project file")
    specification = read_text(text, file_name=path.name)
    return _with_label_config(specification, path)


def read_text(text: str, *, file_name: str = "") -> ProjectSpecification:
    """The project that a YAML or JSON text describes.

    Raises:
        SpecificationInvalid: With the line of everything that is wrong.
        TooLarge: The text is larger than a project document can be.
    """
    if len(text) > MAX_BYTES:
        raise TooLarge(f"a project document has at most {MAX_BYTES // 1000} KB; this one is larger")
    try:
        node = YAML(typ="rt").load(io.StringIO(text.removeprefix("\ufeff")))
    except MarkedYAMLError as problem:
        raise SpecificationInvalid([_syntax(problem)], file_name or "document") from None
    except (YAMLError, ValueError, RecursionError) as problem:
        found = Problem(
            (), f"this is not YAML that can be read ({type(problem).__name__}): {_first_line(problem)}"
        )
        raise SpecificationInvalid([found], file_name) from None
    lines: dict[Place, int] = {}
    plain = _Plain(lines, file_name).value(node, (), 0)
    if not isinstance(plain, dict):
        found = Problem(
            (), "a project document holds keys and values, beginning with `id:` and `title:`", line=1
        )
        raise SpecificationInvalid([found], file_name or "document")
    return _checked(plain, lines, file_name)


def read_document(document: Mapping[str, Any]) -> ProjectSpecification:
    """The project that JSON values describe.

    Raises:
        SpecificationInvalid: With the place of everything that is wrong.
    """
    return _checked(dict(document), {}, "")


def without_prices(specification: ProjectSpecification) -> dict[str, Any]:
    """The document for who may not read prices; marked, so that applying it is refused."""
    document = specification.document()
    for pool in document.get("pools", []):
        pool.pop("price", None)
    for supplier in document.get("suppliers", []):
        supplier.pop("credit", None)
        for rate in supplier["rates"]:
            del rate["price"]
    for name in ("cap", "all_human_baseline_per_label"):
        document.get("budget", {}).pop(name, None)
    return {NOT_FOR_APPLYING: _PRICES_LEFT_OUT, **document}


def to_yaml(specification: ProjectSpecification, *, prices: bool = True) -> str:
    """The project as YAML that reads back as the same project; without prices it is not to be read back."""
    yaml = YAML(typ="rt")
    yaml.width = 110
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    head = {"apiVersion": specification.api_version, "kind": specification.kind}
    stream = io.StringIO()
    if not prices:
        stream.write(f"# NOT FOR APPLYING: {_PRICES_LEFT_OUT}\n")
    stream.write("# yaml-language-server: $schema=./project.schema.json\n")
    yaml.dump({**head, **(specification.document() if prices else without_prices(specification))}, stream)
    return stream.getvalue()


def _checked(plain: dict[str, Any], lines: Mapping[Place, int], file_name: str) -> ProjectSpecification:
    if NOT_FOR_APPLYING in plain:
        marked = Problem((NOT_FOR_APPLYING,), f"{_PRICES_LEFT_OUT}; applying this would remove them")
        raise SpecificationInvalid(_with_lines([marked], lines), file_name)
    try:
        specification = ProjectSpecification.model_validate(plain)
    except ValidationError as error:
        raise SpecificationInvalid(_with_lines(problems_of(error), lines), file_name) from None
    wrong = reference_problems(specification)
    if wrong:
        raise SpecificationInvalid(_with_lines(wrong, lines), file_name)
    return specification


def _with_lines(problems: list[Problem], lines: Mapping[Place, int]) -> list[Problem]:
    """The problems, each with the line of the nearest part that stands in the file, in their order there."""
    placed = []
    for problem in problems:
        place = problem.place
        while place and place not in lines:
            place = place[:-1]
        placed.append(Problem(problem.place, problem.message, problem.did_you_mean, lines.get(place)))
    return sorted(placed, key=lambda problem: problem.line or 0)


class _Plain:
    """Copies what the YAML reader made into plain values, noting lines."""

    def __init__(self, lines: dict[Place, int], file_name: str) -> None:
        self.lines = lines
        self.file_name = file_name
        self.nodes = 0

    def value(self, node: Any, place: Place, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > _MOST_NODES or depth > _DEEPEST:
            self.refuse(place, "the document is too large or too deep; write it without repeated references")
        tag = getattr(getattr(node, "tag", None), "value", None)
        if tag and str(tag).removeprefix("tag:yaml.org,2002:") not in _PLAIN_TAGS:
            self.refuse(place, f"tags such as {tag} are not used here; write plain values")
        if isinstance(node, dict):
            return {self.key(key, node, place): self.child(node, key, place, depth) for key in node}
        if isinstance(node, list):
            marks: Any = getattr(node, "lc", None)
            for i in range(len(node)):
                self.note((*place, i), marks.item(i) if marks and i in (marks.data or {}) else None)
            return [self.value(one, (*place, i), depth + 1) for i, one in enumerate(node)]
        return self.scalar(node, place)

    def key(self, key: Any, node: Any, place: Place) -> str:
        if not isinstance(key, str):
            written = str(key).lower() if isinstance(key, bool) else str(key)
            self.refuse(place, f'the key {written} must be text; put it in quotes: "{written}"')
        marks = getattr(node, "lc", None)
        self.note((*place, key), marks.key(key) if marks and key in (marks.data or {}) else None)
        return str(key)

    def child(self, node: Any, key: Any, place: Place, depth: int) -> Any:
        return self.value(node[key], (*place, key), depth + 1)

    def scalar(self, node: Any, place: Place) -> Any:
        if isinstance(node, dt.datetime):
            return dt.datetime.fromisoformat(node.isoformat())
        if type(node).__name__ == "ScalarBoolean":
            return bool(node)
        for plain in (str, int, float):
            if isinstance(node, plain) and not isinstance(node, bool):
                return plain(node)  # the reader's own text and number types carry layout
        if node is None or isinstance(node, bool | dt.date):
            return node
        return self.refuse(place, "this value cannot be used; write text, a number or a list")

    def note(self, place: Place, mark: Any) -> None:
        if mark is not None:
            self.lines[place] = mark[0] + 1

    def refuse(self, place: Place, message: str) -> Any:
        problem = _with_lines([Problem(place, message)], self.lines)
        raise SpecificationInvalid(problem, self.file_name or "document")


def _syntax(problem: MarkedYAMLError) -> Problem:
    mark = problem.problem_mark or problem.context_mark
    line = None if mark is None else mark.line + 1
    text = str(problem.problem or problem.context or "")
    if "duplicate key" in text:
        words = text.split('"')
        return Problem((), f"the key `{words[1]}` stands here a second time; keep one of them", line=line)
    if "cannot start any token" in text and "\\t" in text:
        return Problem((), "a tab stands where spaces belong; indent with spaces", line=line)
    if "undefined alias" in text:
        return Problem((), f"{text}; a value that begins with * must be in quotes", line=line)
    where = (
        ""
        if problem.context_mark is None
        else f" ({problem.context}, begun in line {problem.context_mark.line + 1})"
    )
    hint = "look for a missing quote, bracket, colon or indent here or in the line above"
    return Problem((), f"this is not well-formed YAML: {text}{where}; {hint}", line=line)


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [""])[0][:200]


def _text_of(path: Path, what: str) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise TooLarge(f"{path} has {size // 1000} KB; a {what} has at most {MAX_BYTES // 1000} KB")
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise NotFound(f"there is no {what} {path}; check the name and the folder") from None
    except IsADirectoryError:
        raise InvalidInput(f"{path} is a folder; name the {what} in it") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is not UTF-8 text; save the {what} as UTF-8") from None
    except PermissionError:
        raise InvalidInput(f"{path} may not be read by this user; change its permissions") from None


def _with_label_config(specification: ProjectSpecification, path: Path) -> ProjectSpecification:
    named = specification.label_config.strip()
    if not named or named.startswith("<"):
        return specification
    folder = path.resolve().parent
    wanted = (folder / named).resolve()
    if not wanted.is_relative_to(folder):
        problem = Problem(
            ("label_config",), f"{named} lies outside the folder of {path.name}; put the file beside it"
        )
        raise SpecificationInvalid([problem])
    document = specification.document() | {"label_config": _text_of(wanted, "label config")}
    return read_document(document)
