import pytest

from models.errors import LabelsDontMatch
from models.interface import Kind, ModelSpec
from models.keyword import KeywordPredictor
from models.loading import load
from tests.factories import LABELS, make_project
from workbench.errors import InvalidInput, NotFound
from workbench.model_versions.service import promote, register_version, to_document, to_spec
from workbench.model_versions.store import find_version, live_version, versions_of

WORDS = {"Positive": ["good"], "Neutral": ["so so"], "Negative": ["bad"]}


@pytest.fixture
def session(outside):
    with outside.db.write() as opened:
        yield opened


@pytest.fixture
def project(session):
    return make_project(session)


@pytest.fixture
def register(outside, session, project):
    def register(folder, **more):
        return register_version(outside, session, project, folder, labels=LABELS, by="t", **more)

    return register


def folder_of(path, words=WORDS):
    path.mkdir()
    KeywordPredictor(words).save(path)
    return path


def test_the_same_files_are_the_same_version(register, tmp_path):
    first = register(folder_of(tmp_path / "one"))
    assert register(tmp_path / "one") is first
    assert register(folder_of(tmp_path / "copied-elsewhere"), name="other") is first
    assert (first.name, first.version, first.stage, first.kind) == ("one", 1, "registered", "keyword")
    changed = register(folder_of(tmp_path / "two", WORDS | {"Negative": ["awful"]}), name="one")
    assert (changed.id != first.id, changed.version) == (True, 2)


def test_a_version_can_be_loaded_again_just_as_it_was(register, tmp_path):
    row = register(folder_of(tmp_path / "one"))
    spec = to_spec(row.specification)
    assert spec.labels == LABELS
    predictor = load(spec)
    best = predictor.predict(["bad", "good"]).probabilities.argmax(axis=1)
    assert [predictor.labels[i] for i in best] == ["Negative", "Positive"]


def test_a_specification_survives_its_document():
    spec = ModelSpec(
        kind=Kind.ENCODER_HEAD,
        uri="/m",
        labels=LABELS,
        label_map={"a": "b"},
        sha256={"f": "0"},
        max_tokens=64,
    )
    assert to_spec(to_document(spec)) == spec


def test_labels_that_do_not_match_are_named(register, tmp_path):
    folder = folder_of(tmp_path / "one", {"good": ["good"], "Negative": ["bad"]})
    with pytest.raises(LabelsDontMatch) as told:
        register(folder)
    assert "good" in str(told.value)
    assert "Positive" in str(told.value)
    row = register(folder, label_map={"good": "Positive"})
    assert row.specification["label_map"] == {"good": "Positive"}


def test_another_map_is_another_version(register, tmp_path):
    folder = folder_of(tmp_path / "one", {"a": ["good"], "Negative": ["bad"]})
    one = register(folder, label_map={"a": "Positive"})
    assert register(folder, label_map={"a": "Neutral"}).id != one.id


def test_a_folder_that_is_none_is_said(register, tmp_path):
    with pytest.raises(InvalidInput, match="there is no folder"):
        register(tmp_path / "nowhere")


def test_one_version_is_live_and_the_one_before_retires(outside, session, project, register, tmp_path, clock):
    one = register(folder_of(tmp_path / "one"))
    two = register(folder_of(tmp_path / "two", WORDS | {"Neutral": ["meh"]}))
    assert live_version(session, project.id) is None
    promote(session, project.id, one.id, by="lead", now=clock.at)
    since = one.live_since
    clock.forward(hours=1)
    promote(session, project.id, one.id, by="lead", now=clock.at)
    assert one.live_since == since, "already live: nothing changes"
    promote(session, project.id, two.id, by="lead", now=clock.at)
    assert (one.stage, one.retired_at, two.stage) == ("retired", clock.at, "live")
    assert live_version(session, project.id) is two
    promote(session, project.id, one.id, by="lead", now=clock.at)
    assert [(row.stage, row.retired_at is None) for row in versions_of(session, project.id)] == [
        ("retired", False),
        ("live", True),
    ]


def test_a_version_of_another_project_is_not_found(session, project, register, tmp_path, clock):
    other = make_project(session, "other")
    row = register(folder_of(tmp_path / "one"))
    with pytest.raises(NotFound):
        find_version(session, other.id, row.id)
    with pytest.raises(NotFound):
        promote(session, other.id, row.id, by="t", now=clock.at)
