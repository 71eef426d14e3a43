import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from workbench.demo.dataset import RatedText
from workbench.demo.replay import BadOrder, Dealer, Order, read_order

ORDER = {
    "address": "http://127.0.0.1:1",
    "email": "a@example.com",
    "password": "secret-word",
    "texts": "rated.tar.gz",
    "account": 0,
    "accounts": 3,
}
TEXT = RatedText("news", "1", "Some text", (-4, -3, -2, -1, 0, 1, 2, 3), -0.5)


def dealer(account: int, notes: Path | None = None) -> Dealer:
    return Dealer([TEXT], account=account, accounts=3, notes=notes)


def test_an_order_is_read_and_hides_the_password():
    order = read_order(json.dumps(ORDER | {"max_per_minute": 30}))
    assert order == Order(**ORDER, max_per_minute=30)
    assert "secret-word" not in repr(order)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"account": 3}, "account must be from 0 to 2"),
        ({"max_per_minute": 0}, "above 0"),
        ({"speed": 1}, "with the fields"),
    ],
)
def test_a_wrong_order_is_refused(change, message):
    with pytest.raises(BadOrder, match=message):
        read_order(json.dumps(ORDER | change))


@pytest.mark.parametrize(
    ("text", "message"), [("{", "one JSON object"), ("[]", "an object"), ("{}", "lacks")]
)
def test_no_order_is_refused(text, message):
    with pytest.raises(BadOrder, match=message):
        read_order(text)


def test_each_rating_is_dealt_once_over_all_accounts():
    accounts = [dealer(i) for i in range(3)]
    dealt = [[it.deal("some  TEXT") for _ in range(4)] for it in accounts]
    given = [rating for rating in chain(*dealt) if rating is not None]
    assert sorted(given) == sorted(TEXT.ratings)
    assert all(row[-1] is None for row in dealt)
    assert dealt == [[it.deal(TEXT.text) for _ in range(4)] for it in (dealer(i) for i in range(3))]


def test_a_second_run_deals_other_ratings(tmp_path):
    notes = tmp_path / "dealt"
    first = dealer(1, notes).deal(TEXT.text)
    second = dealer(1, notes).deal(TEXT.text)
    assert [first, second] == [it for d in [dealer(1)] for it in (d.deal(TEXT.text), d.deal(TEXT.text))]
    assert "Some text" not in notes.read_text()


def test_other_texts_are_not_known():
    assert dealer(0).knows("SOME text")
    assert not dealer(0).knows("Some other text")


def test_the_program_ends_with_one_line_of_counts_and_a_reason():
    done = subprocess.run(
        [sys.executable, "-m", "workbench.demo.replay"],
        input=json.dumps(ORDER),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 1
    assert "bootstrap.py demo-data" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["answered"] == 0


def test_the_program_knows_nothing_of_the_workbench():
    script = (
        "import sys, workbench.demo.replay; "
        "print(*[m for m in sys.modules if m.split('.')[0] in {'workbench', 'models', 'routing', 'integrations'}])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    allowed = {"", ".demo", ".demo.dataset", ".demo.replay", ".demo.replay_session"}
    assert set(done.stdout.split()) == {f"workbench{name}" for name in allowed}
