import ast
import subprocess
import sys

import pytest

from tests.architecture.sources import PACKAGES, ROOT, imports, modules, place, tree

# The standard library without files, network, clock and global chance.
ROUTING_MAY_IMPORT = {
    *(
        "__future__",
        "abc",
        "ast",
        "bisect",
        "collections",
        "copy",
        "dataclasses",
        "decimal",
        "difflib",
        "enum",
    ),
    *("fractions", "functools", "hashlib", "heapq", "hmac", "io", "itertools", "json", "keyword", "math"),
    *(
        "numbers",
        "operator",
        "re",
        "statistics",
        "string",
        "struct",
        "tokenize",
        "types",
        "typing",
        "warnings",
    ),
    *("numpy", "scipy.special", "scipy.stats", "routing"),
}
SEEDED_CHANCE = {"default_rng", "Generator", "BitGenerator", "SeedSequence", "PCG64", "Philox"}


def run_python(script: str, **options: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", PACKAGES)
def test_our_top_level_names_are_our_own_files(name, tmp_path):
    script = f"import {name}; print(*{name}.__path__)"
    assert run_python(script, cwd=tmp_path).strip() == str(ROOT / name)


def test_no_other_distribution_brings_our_names(tmp_path):
    script = (
        "import importlib.metadata as m; found = m.packages_distributions();"
        f"print(*(d for n in {PACKAGES!r} for d in found.get(n, ())))"
    )
    assert set(run_python(script, cwd=tmp_path).split()) <= {"annotation-workbench"}


def test_routing_imports_pure_things_only():
    def allowed(name: str) -> bool:
        return any(name == it or name.startswith(f"{it}.") for it in ROUTING_MAY_IMPORT)

    assert [
        f"{place(it)} imports {name}"
        for it in modules("routing")
        for name in imports(it)
        if not allowed(name)
    ] == []


def test_routing_opens_nothing_and_has_no_chance_of_its_own():
    def impure(call: str) -> bool:
        chance = (
            call.startswith(("np.random.", "numpy.random.")) and call.rpartition(".")[2] not in SEEDED_CHANCE
        )
        return chance or call in {"open", "io.open", "print", "input"} or call.endswith((".now", ".utcnow"))

    calls = [
        (place(it, node), ast.unparse(node.func))
        for it in modules("routing")
        for node in ast.walk(tree(it))
        if isinstance(node, ast.Call)
    ]
    assert [f"{where} calls {call}" for where, call in calls if impure(call)] == []


@pytest.mark.parametrize(
    ("partner", "home"),
    [("torch", "models"), ("transformers", "models"), ("label_studio_sdk", "integrations/label_studio")],
)
def test_a_partner_is_imported_in_its_home_only(partner, home):
    strangers = [
        place(it)
        for it in modules(*PACKAGES)
        if not it.is_relative_to(ROOT / home) and any(name.split(".")[0] == partner for name in imports(it))
    ]
    assert strangers == []


def test_the_web_process_never_reaches_torch():
    script = "import sys, workbench.app; print(*({'torch', 'transformers'} & set(sys.modules)))"
    assert run_python(script, cwd=ROOT).split() == []
