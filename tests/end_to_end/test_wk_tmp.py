from pathlib import Path
from tests.end_to_end.hostile import poison
from tests.integration.overview.plausible import plausible_project
from tests.integration.web.clients import client_as
def test_x(outside):
    plausible_project(outside, n_items=40)
    c = client_as(outside)
    with outside.db.write() as s: r = poison(s, 1)
    print(r)
    import re
    a = c.get("/projects/reviews/settings")
    print(a.status_code, re.sub(r"<[^>]+>|\s+"," ",a.text)[-1500:])
    a = c.get("/projects/reviews/overview/charts")
    Path('/tmp/w/wk_charts.html').write_text(a.text)
