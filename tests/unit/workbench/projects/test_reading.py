"""Project documents: accepted as written, refused with line, place and a hint."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import InvalidInput, NotFound, TooLarge
from workbench.projects.kept import kept_parts
from workbench.projects.problems import SpecificationInvalid
from workbench.projects.reading import read_document, read_file, read_text, to_yaml
from workbench.projects.specification import json_schema

CONFIGS = Path(__file__).parents[4] / "configs" / "projects"
HEAD = "id: spam\ntitle: Spam\nlabels: [{value: yes}, {value: no}]\n"


def refusal(text: str) -> str:
    with pytest.raises(SpecificationInvalid) as caught:
        read_text(text, file_name="p.yaml")
    return str(caught.value)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_accepted_and_comes_back_the_same(path: Path) -> None:
    specification = read_file(path)
    assert read_text(to_yaml(specification)) == specification
    assert read_document(json.loads(json.dumps(specification.document()))) == specification


def test_the_full_example_says_what_is_kept() -> None:
    kept = kept_parts(read_file(CONFIGS / "short-video-comment-safety.yaml"))
    assert {"sla", "alerts", "reports", "channels", "qa", "routing.policy"} <= set(kept)
    assert kept_parts(read_text(HEAD)) == []


def test_published_schema_is_current() -> None:
    assert json.loads((CONFIGS / "project.schema.json").read_text("utf-8")) == json_schema()


def test_unquoted_no_and_none_stay_text() -> None:
    text = HEAD.replace("{value: no}", "{value: no}, {value: none}, {value: off}")
    assert [label.value for label in read_text(text).labels] == ["yes", "no", "none", "off"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("id: [x", ["p.yaml:1: this is not well-formed YAML: expected ',' or ']'"]),
        ("\tid: x", ["p.yaml:1: a tab stands where spaces belong; indent with spaces"]),
        ("id: x\nid: y\n", ["p.yaml:2: the key `id` stands here a second time; keep one of them"]),
        ("id: *x\n", ["p.yaml:1: found undefined alias 'x'; a value that begins with * must be in quotes"]),
        ("- a\n", ["p.yaml:1: a project document holds keys and values"]),
        ("", ["p.yaml:1: a project document holds keys and values"]),
        (HEAD + "title2: x\n", ["p.yaml:4: title2: is not a key of this part; did you mean `title`?"]),
        (HEAD + "qa: {gold_rte: 0.1}\n", ["p.yaml:4: qa.gold_rte: is not a key of this part; did you mean `gold_rate`?"]),
        (HEAD + "qa: {zzz: 1}\n", ["known here are adjudicator, agreement_metric"]),
        (HEAD.replace("title: Spam", "title: 5"), ['p.yaml:2: title: must be text; put it in quotes: "5"']),
        (HEAD.replace("value: no", "value: true"), ['p.yaml:3: labels[1].value: must be text; put it in quotes: "true"']),
        (HEAD.replace("value: no", "value: yes"), ["p.yaml:3: labels[1].value: the label `yes` stands here twice"]),
        ("id: x\ntitle: t\nlabels: [{value: a}]\n", ["p.yaml:3: labels: give at least two labels"]),
        (HEAD.replace("id: spam", "id: No Spam"), ["p.yaml:1: id: uses lower-case letters", "`No Spam` is not"]),
        (HEAD.replace("id: spam", "id: new"), ["p.yaml:1: id: `new` is an address of its own"]),
        ("title: t\n", ["p.yaml: id: is missing"]),
        (HEAD + "modality: image\n", ["p.yaml:4: modality: only `text` projects work in this release"]),
        (HEAD + "time_zone: Europe/Berln\n", ["p.yaml:4: time_zone: there is no time zone", "did you mean `Europe/Berlin`?"]),
        (HEAD + "budget: {currency: usd}\n", ["p.yaml:4: budget.currency: is a currency of three capital letters"]),
        (HEAD + "budget: {cap: lots}\n", ["p.yaml:4: budget.cap: must be a number"]),
        (HEAD + "lane_limit: 1.5\n", ["p.yaml:4: lane_limit: must be a whole number"]),
        (HEAD + "channels: {a: 'https://x'}\n", ["p.yaml:4: channels.a: an address with a secret", "write ${env:NAME}"]),
        (HEAD + "sla: {due: tomorrow}\n", ["p.yaml:4: sla.due: must be a day such as 2026-11-02"]),
        (HEAD + "without_model: peple\n", ["must be one of people, wait; `peple` is not; did you mean `people`?"]),
        (HEAD + "note: !!python/object:os.system x\n", ["tags such as", "are not used here"]),
        (HEAD + "note: !run x\n", ["p.yaml:4: note: tags such as !run are not used here"]),
        (HEAD + "1: x\n", ['the key 1 must be text; put it in quotes: "1"']),
        (
            HEAD + "routing:\n  routes:\n    - {when: 'true', to: spam-tem}\n",
            ["p.yaml:6: routing.routes[0].to: there is no pool or skill `spam-tem`; did you mean `spam-team`?"],
        ),
        (
            HEAD + "routing:\n  accept_at: 0.9\n  routes:\n    - {when: \"label == 'ye'\"}\n",
            ["p.yaml:7: routing.routes[0].when: there is no label 'ye' in this project; did you mean `yes`?"],
        ),
        (HEAD + "routing: {routes: [{when: 'confidnce > 1'}]}\n", ["p.yaml:4: routing.routes[0].when: character 1"]),
        (HEAD + "routing: {routes: [{when: 'true', accept: true, overlap: 2}]}\n", ["routing.routes[0].overlap: does not go with"]),
        (HEAD + "routing: {thresholds: {nope: 0.9}}\n", ["routing.thresholds.nope: there is no label `nope`"]),
        (HEAD + "routing: {never_accept: [nope]}\n", ["routing.never_accept[0]: there is no label `nope`"]),
        (HEAD + "qa: {adjudicator: boss}\n", ["qa.adjudicator: there is no pool `boss`; there are spam-team"]),
        (
            HEAD + "alerts: [{id: a, metric: m, test: below, ladder: [{after: PT0S, notify: [x]}]}]\n",
            ["alerts[0].ladder[0].notify[0]: there is no channel `x`"],
        ),
        (
            HEAD + "sla: {items: 10, lots: [{name: a, due: 2026-11-02, items: 9}]}\n",
            ["sla.lots: the lots hold 9 items together, and sla.items is 10"],
        ),
        (HEAD + "label_config: <View></View>\n", ["p.yaml:4: label_config: the label config asks the annotator nothing"]),
        (
            HEAD + "label_config: '<View><Text name=\"t\" value=\"$text\"/><Choices name=\"c\" toName=\"t\" choice=\"multiple\"><Choice value=\"yes\"/><Choice value=\"no\"/></Choices></View>'\n",
            ["allows several choices; this release works with one Choices control"],
        ),
    ],
)  # fmt: skip
def test_refused_with_place_and_plain_words(text: str, sentences: list[str]) -> None:
    message = refusal(text)
    for sentence in sentences:
        assert sentence in message


def test_every_problem_is_named_in_the_order_of_the_file() -> None:
    lines = refusal("id: X\ntitle: 5\nlabels: [{value: a}, {value: 1}]\n").splitlines()
    assert [line.split(": ")[1] for line in lines] == ["id", "title", "labels[1].value"]


def test_alias_bomb_is_refused() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert "too large or too deep" in refusal("\n".join(rows))


def test_large_text_is_refused() -> None:
    with pytest.raises(TooLarge, match="at most 1000 KB"):
        read_text("#" * 1_000_001)


def test_file_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no project file"):
        read_file(tmp_path / "nope.yaml")
    with pytest.raises(InvalidInput, match="is a folder"):
        read_file(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"title: caf\xe9")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read_file(tmp_path / "latin.yaml")


def test_label_config_beside_the_document_is_read_and_one_outside_refused(tmp_path: Path) -> None:
    xml = (CONFIGS.parent / "label_configs" / "spam.xml").read_text("utf-8")
    (tmp_path / "screen.xml").write_text(xml, "utf-8")
    document = tmp_path / "p.yaml"
    document.write_text("id: x\ntitle: t\nlabel_config: screen.xml\n", "utf-8")
    assert read_file(document).label_config == xml
    document.write_text("id: x\ntitle: t\nlabel_config: ../screen.xml\n", "utf-8")
    with pytest.raises(SpecificationInvalid, match="lies outside the folder"):
        read_file(document)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        read_text(text, file_name="p.yaml")


names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(st.lists(names, min_size=2, max_size=6, unique=True), names, st.floats(0, 1))
def test_any_project_comes_back_from_its_own_yaml(labels: list[str], title: str, accept_at: float) -> None:
    document = {
        "id": "x", "title": title, "labels": [{"value": label} for label in labels], "routing": {"accept_at": accept_at},
    }  # fmt: skip
    specification = read_document(document)
    assert read_text(to_yaml(specification)) == specification
