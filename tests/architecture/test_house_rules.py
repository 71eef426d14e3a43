import ast
import re

import pytest

from tests.architecture.sources import PACKAGES, ROOT, modules, own_files, place, tree

DRAWERS = {"utils", "util", "common", "helpers", "misc", "shared"}
LONGEST_FILE = 400
CARRIES_CODE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
# Written so that this file does not hold what it looks for.
OTHER_MACHINES = re.compile(
    "|".join(
        [
            "/opt" + "/(wheels|pypi)",
            "(?<![\\w.~/-])/(work|root|home)" + "/\\w",
            "--find" + "-links",
            "--(extra-)?index" + "-url[ =]\\S*://",
            "python" + "hosted",
            "py" + r"pi\.org",
            "deb\\.deb" + "ian",
            "npm" + "js\\.(org|com)",
        ]
    )
)


def test_there_is_no_drawer_for_everything():
    found = [place(it) for it in modules(*PACKAGES) if DRAWERS & {it.stem, *it.relative_to(ROOT).parts}]
    assert found == []


def test_no_file_is_two_ideas():
    files = [it for it in modules(*PACKAGES) if "migrations" not in it.parts]
    lengths = {place(it): len(it.read_text("utf-8").splitlines()) for it in files}
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE} == {}


def danger(node: ast.AST) -> str | None:
    """What is wrong with a node, if anything."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = {alias.name.split(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()
        names |= {(node.module or "").split(".")[0]} if isinstance(node, ast.ImportFrom) else set()
        return next(iter(sorted(names & CARRIES_CODE)), None)
    if not isinstance(node, ast.Call):
        return None
    name = ast.unparse(node.func)
    if name in {
        "eval",
        "exec",
        "builtins.eval",
        "builtins.exec",
        "yaml.load",
        "torch.load",
        "os.system",
        "os.popen",
    }:
        return f"{name}()"
    flags = {"shell", "trust_remote_code", "allow_pickle"}
    for keyword in node.keywords:
        constant = keyword.value.value if isinstance(keyword.value, ast.Constant) else True
        if keyword.arg in flags and constant is not False:
            return f"{keyword.arg}={ast.unparse(keyword.value)}"
    return None


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import pickle", True),
        ("from joblib import load", True),
        ("eval('1')", True),
        ("yaml.load(f)", True),
        ("YAML().load(f)", False),
        ("run(x, shell=True)", True),
        ("run(x, shell=flag)", True),
        ("run(x, shell=False)", False),
        ("load(x, trust_remote_code=True)", True),
        ("load(x, trust_remote_code=False)", False),
        ("model.eval()", False),
    ],
)
def test_the_search_for_danger_finds_it(code, found):
    assert any(danger(node) for node in ast.walk(ast.parse(code))) is found


def test_data_never_becomes_code():
    found = [
        f"{place(path, node)}: {reason}"
        for path in [*modules(*PACKAGES), ROOT / "bootstrap.py"]
        for node in ast.walk(tree(path))
        if (reason := danger(node))
    ]
    assert found == []


def test_no_file_names_a_machine_or_a_package_host():
    found = []
    for path in own_files():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        lines = enumerate(text.splitlines(), start=1)
        found += [
            f"{place(path)}:{n}: {line.strip()[:120]}" for n, line in lines if OTHER_MACHINES.search(line)
        ]
    assert found == []


def test_the_readme_names_the_two_commands():
    text = (ROOT / "README.md").read_text("utf-8")
    assert "make demo" in text
    assert "make test" in text
