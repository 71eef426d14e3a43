from workbench.activity.wording import Changed, changes, sentence_of, thing_of


def test_known_and_unknown_verbs():
    assert sentence_of("policy.activated") == "put a routing policy in force"
    assert sentence_of("lane.tended_to") == "lane tended to"
    assert thing_of("policy:12") == "policy 12"
    assert thing_of("moves:123") == ""


def test_a_difference_is_told_field_by_field():
    before = {"rules": [{"name": "sure", "at": 0.9}], "audit": {"share": 0.05}, "gone": True}
    after = {"rules": [{"name": "sure", "at": 0.8}], "audit": {"share": 0.05}, "new": None}
    assert changes(before, after) == [
        Changed("rules.1.at", "0.9", "0.8"),
        Changed("new", None, "nothing"),
        Changed("gone", "yes", None),
    ]
    assert changes(None, {"a": [1, 2]}) == [Changed("a", None, "1, 2")]
    assert changes({}, None) == []
