"""What the code never does, found in its syntax; each rule is shown to find a planted example."""

import ast
import re

import pytest

from tests.architecture.sources import PACKAGES, ROOT, modules, own_files, place, tree

# A stand-in for a person's browser, which knows nothing of the workbench, and calls the demo's own server.
CALLS_ITSELF = {"workbench/demo/replay_session.py"}
# The second runs inside Label Studio's own process and environment.
OUTBOUND = ("integrations/outbound/", "integrations/label_studio/local_server/")
# Names of tables and columns come from the code here; values are bound as everywhere.
WRITES_SQL = ("workbench/db/", "routing/", "workbench/invariants/records.py")
CLIENTS = re.compile(
    r"httpx\.(Client|AsyncClient|HTTPTransport|AsyncHTTPTransport|get|post|put|patch|delete|head|options|request|stream)"
    r"|httpcore\.\w+"
    r"|(requests|httpx2|aiohttp|urllib3|pycurl|http\.client|ftplib|smtplib|telnetlib|websockets|websocket)\.\w+"
    r"|urllib\.request\.\w+"
    r"|socket\.create_connection|\w+\.(connect_ex|create_connection|open_connection)"
)
BANNED_IMPORTS = {
    *("requests", "aiohttp", "urllib3", "pycurl", "http.client", "urllib.request", "ftplib", "telnetlib"),
    "httpx2",
    *("httpcore", "websocket", "websockets"),
}


def names_of(node: ast.AST) -> set[str]:
    """The modules and members that an import brings in, as dotted names."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return set()


def foreign_client(node: ast.AST) -> str | None:
    """How a node reaches the network other than by the outbound client, if it does."""
    for name in sorted(names_of(node)):
        if name in BANNED_IMPORTS or (isinstance(node, ast.ImportFrom) and CLIENTS.fullmatch(name)):
            return f"imports {name}"
    if isinstance(node, ast.ClassDef):
        bases = [ast.unparse(base) for base in node.bases]
        return next((f"subclass of {base}" for base in bases if CLIENTS.fullmatch(base)), None)
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        if CLIENTS.fullmatch(name):
            return f"{name}()"
        # A socket of one's own: probes bind, nobody connects.
        if name.endswith(".connect") and "sock" in name.lower():
            return f"{name}()"
    return None


def weak(node: ast.AST) -> str | None:
    """Weak chance, weak hashes, guessable temporary names, unchecked certificates, formatted statements."""
    for name in sorted(names_of(node)):
        if name in {"random", "crypt", "md5", "sha"} or name in {
            "hashlib.md5",
            "hashlib.sha1",
            "tempfile.mktemp",
        }:
            return f"imports {name}"
    if not isinstance(node, ast.Call):
        return None
    name = ast.unparse(node.func)
    if name in {
        "hashlib.md5",
        "hashlib.sha1",
        "tempfile.mktemp",
        "os.tmpnam",
        "ssl._create_unverified_context",
    }:
        return f"{name}()"
    if (
        name == "hashlib.new"
        and node.args
        and ast.unparse(node.args[0]).strip("'\"").lower() in {"md5", "sha1"}
    ):
        return f"{name}()"
    for keyword in node.keywords:
        value = getattr(keyword.value, "value", None)
        if keyword.arg in {"verify", "check_hostname", "verify_ssl", "autoescape"} and value is False:
            return f"{keyword.arg}=False"
    return None


def unchecked_tls(node: ast.AST) -> str | None:
    """Certificates switched off by assignment, or by name."""
    if isinstance(node, ast.Attribute) and node.attr == "CERT_NONE":
        return "CERT_NONE"
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is False:
        named = [ast.unparse(target) for target in node.targets]
        return next((name for name in named if name.endswith(".check_hostname")), None)
    return None


STATEMENTS = {"text", "execute", "exec_driver_sql", "executemany", "executescript", "scalar", "scalars"}


def formatted_sql(node: ast.AST) -> str | None:
    """A statement put together from parts, if a node runs or makes one."""
    if not isinstance(node, ast.Call) or not node.args:
        return None
    name = ast.unparse(node.func).rpartition(".")[2]
    if name not in STATEMENTS:
        return None
    given = node.args[0]
    is_joined = isinstance(given, ast.JoinedStr) and any(
        isinstance(it, ast.FormattedValue) for it in given.values
    )
    is_added = isinstance(given, ast.BinOp) and isinstance(given.op, ast.Mod | ast.Add)
    is_filled = isinstance(given, ast.Call) and ast.unparse(given.func).endswith(".format")
    return f"{name}({ast.unparse(given)[:60]})" if is_joined or is_added or is_filled else None


SAFE = re.compile(r"\|\s*safe\b|\{%-?\s*autoescape\s+false|\bMarkup\(")
INLINE = re.compile(r"<[^>{}]*\s(on[a-z]{3,})\s*=", re.IGNORECASE)
STYLE = re.compile(r"<[^>{}]*\sstyle\s*=|<style\b", re.IGNORECASE)
SCRIPT_URL = re.compile(r"""(href|src|action)\s*=\s*["']?\s*(javascript|data|vbscript):""", re.IGNORECASE)
BARE_SCRIPT = re.compile(r"<script\b(?![^>]*\b(src|type=[\"']application/json[\"']))", re.IGNORECASE)


def unsafe_template(text: str) -> list[str]:
    """What a template does that a page must not."""
    rules = (
        ("|safe", SAFE),
        ("handler", INLINE),
        ("style", STYLE),
        ("script address", SCRIPT_URL),
        ("script", BARE_SCRIPT),
    )
    return [name for name, rule in rules if rule.search(text)]


@pytest.mark.parametrize(
    ("rule", "code", "found"),
    [
        (foreign_client, "httpx.Client()", True),
        (foreign_client, "httpx.AsyncClient(trust_env=False)", True),
        (foreign_client, "httpx.get('http://x')", True),
        (foreign_client, "httpx.stream('GET', url)", True),
        (foreign_client, "from httpx import get", True),
        (foreign_client, "from httpx import Client as C", True),
        (foreign_client, "class Mine(httpx.Client): ...", True),
        (foreign_client, "import requests", True),
        (foreign_client, "from urllib.request import urlopen", True),
        (foreign_client, "import urllib.request", True),
        (foreign_client, "from urllib import request", True),
        (foreign_client, "import http.client", True),
        (foreign_client, "from http import client", True),
        (foreign_client, "socket.create_connection(('x', 1))", True),
        (foreign_client, "from socket import create_connection", True),
        (foreign_client, "sock.connect(('x', 1))", True),
        (foreign_client, "asyncio.open_connection('x', 1)", True),
        (foreign_client, "from urllib.parse import urlsplit", False),
        (foreign_client, "from http import HTTPStatus", False),
        (foreign_client, "httpx.URL(given)", False),
        (foreign_client, "probe.bind(('127.0.0.1', 0))", False),
        (foreign_client, "outbound_client(RULES, origin=url)", False),
        (weak, "import random", True),
        (weak, "from random import choice", True),
        (weak, "hashlib.md5(x)", True),
        (weak, "hashlib.new('sha1', x)", True),
        (weak, "from hashlib import sha1", True),
        (weak, "tempfile.mktemp()", True),
        (weak, "get(url, verify=False)", True),
        (weak, "Environment(autoescape=False)", True),
        (weak, "secrets.token_hex()", False),
        (weak, "hashlib.sha256(x)", False),
        (weak, "get(url, verify=context)", False),
        (unchecked_tls, "context.check_hostname = False", True),
        (unchecked_tls, "context.verify_mode = ssl.CERT_NONE", True),
        (unchecked_tls, "context.check_hostname = True", False),
        (formatted_sql, "text(f'SELECT {x}')", True),
        (formatted_sql, "session.execute('SELECT ' + x)", True),
        (formatted_sql, "session.execute('SELECT %s' % x)", True),
        (formatted_sql, "session.execute('SELECT {}'.format(x))", True),
        (formatted_sql, "session.execute(select(Row).where(Row.id == x))", False),
        (formatted_sql, "text('SELECT 1')", False),
    ],
)
def test_the_rule_finds_what_it_should(rule, code, found):
    assert any(rule(node) for node in ast.walk(ast.parse(code))) is found


def broken(rule, paths) -> list[str]:
    return [
        f"{place(path, node)}: {why}"
        for path in paths
        for node in ast.walk(tree(path))
        if (why := rule(node))
    ]


def test_nothing_reaches_the_network_but_the_outbound_client():
    own = [
        it
        for it in modules(*PACKAGES)
        if not (name := it.relative_to(ROOT).as_posix()).startswith(OUTBOUND) and name not in CALLS_ITSELF
    ]
    assert broken(foreign_client, own) == []


def test_chance_hashes_and_certificates_are_strong():
    assert broken(weak, modules(*PACKAGES)) == []
    assert broken(unchecked_tls, modules(*PACKAGES)) == []


def test_statements_are_not_put_together_from_parts():
    own = [it for it in modules(*PACKAGES) if not it.relative_to(ROOT).as_posix().startswith(WRITES_SQL)]
    assert broken(formatted_sql, own) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{ name|safe }}", ["|safe"]),
        ("{% autoescape false %}", ["|safe"]),
        ('<a onclick="go()">', ["handler"]),
        ("<img src=x onerror=go()>", ["handler"]),
        ('<p style="color:red">', ["style"]),
        ('<a href="javascript:go()">', ["script address"]),
        ("<script>go()</script>", ["script"]),
        ('<script src="/static/x.js" defer></script>', []),
        ('<script type="application/json" id="chart">{{ chart }}</script>', []),
        ('<a href="{{ url }}" data-on="x">{{ name }}</a>', []),
        ('<button name="on" value="1">once = 1</button>', []),
    ],
)
def test_the_search_through_templates_finds_what_it_should(text, found):
    assert unsafe_template(text) == found


def test_templates_hold_no_script_handlers_styles_or_unescaped_text():
    pages = [it for it in own_files() if it.suffix in {".html", ".jinja", ".j2"} and "templates" in it.parts]
    assert pages
    assert {place(it): why for it in pages if (why := unsafe_template(it.read_text("utf-8")))} == {}
