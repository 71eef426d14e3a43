"""The repository's own files, for the tests beside this one."""

import ast
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("workbench", "models", "routing", "integrations")


@cache
def own_files() -> tuple[Path, ...]:
    """What git tracks or would track; without git, everything outside hidden and built folders."""
    if shutil.which("git") and (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
            "\0"
        )
        return tuple(path for name in names if name and (path := ROOT / name).is_file())
    built = {".venv", ".venv-ls", ".cache", ".git", "data", "build", "__pycache__"}
    return tuple(
        path for path in ROOT.rglob("*") if path.is_file() and not built & set(path.relative_to(ROOT).parts)
    )


def modules(*packages: str) -> list[Path]:
    """The Python files of these packages."""
    return [it for it in own_files() if it.suffix == ".py" and it.relative_to(ROOT).parts[0] in packages]


@cache
def tree(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text("utf-8"), str(path))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, wherever it stands."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(path: Path, node: ast.AST | None = None) -> str:
    """A file and line, for a message."""
    line = getattr(node, "lineno", None)
    return f"{path.relative_to(ROOT)}:{line}" if line else str(path.relative_to(ROOT))
