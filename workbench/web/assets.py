"""Style sheet, scripts and icon of the pages under addresses that change with their content.

Nothing comes from a network: htmx lies in the package django-htmx (only read as a file), Vega comes out of
vl-convert. `python -m workbench.web.assets` builds the Vega bundle ahead of the first start.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import importlib.util
import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from workbench.errors import Unavailable

STATIC = Path(__file__).parent / "static"
CHECKOUT_CACHE = Path(__file__).resolve().parents[2] / ".cache" / "web"
HTMX_SHA256 = {"1.29.0": "71ea67185bfa8c98c39d31717c6fce5d852370fcdfd129db4543774d3145c0de"}
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOREVER = "public, max-age=31536000, immutable"
_OURS = ("app.css", "app.js", "icon.svg")


@dataclass(frozen=True)
class Asset:
    """A file as it is sent."""

    content: bytes
    zipped: bytes
    media_type: str


def htmx() -> bytes:
    """The htmx script, checked against the known hash of its version.

    Raises:
        Unavailable: The package is missing, or holds another script than the one that was checked.
    """
    found = importlib.util.find_spec("django_htmx")
    if found is None or not found.submodule_search_locations:
        raise Unavailable("htmx is missing: install configs/locks/htmx.txt (or run `make demo`, which does)")
    version = importlib.metadata.version("django-htmx")
    folder = Path(found.submodule_search_locations[0])
    content = (folder / "static" / "django_htmx" / "htmx-2.min.js").read_bytes()
    if hashlib.sha256(content).hexdigest() != HTMX_SHA256.get(version):
        raise Unavailable(
            f"the htmx script in django-htmx {version} is not the one that was checked; "
            "install the version in configs/locks/htmx.txt"
        )
    return content


def vega_version() -> str:
    """The version of the package that Vega comes from."""
    return importlib.metadata.version("vl-convert-python")


def vega(caches: tuple[Path, ...]) -> bytes:
    """The Vega script (Vega, Vega-Lite, vega-embed) from the first cache that has it.

    Where none has, it is built into the last one, which takes some seconds.
    """
    name = f"vega-{vega_version()}.js"
    for folder in caches:
        if (folder / name).exists():
            return (folder / name).read_bytes()
    import vl_convert  # noqa: PLC0415 - a JavaScript engine: only loaded where it is needed

    content = str(vl_convert.javascript_bundle()).encode()  # type: ignore[call-arg]
    _write(caches[-1] / name, content)
    return content


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(temporary).replace(path)


def _short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _asset(name: str, content: bytes) -> Asset:
    return Asset(content, gzip.compress(content, 7, mtime=0), TYPES[Path(name).suffix])


class Assets:
    """The files of the pages: `url(name)` for templates, and an ASGI application that sends them.

    Args:
        data_dir: Where Vega is built to when the checkout holds no copy.
    """

    def __init__(self, data_dir: Path) -> None:
        self._caches = (CHECKOUT_CACHE, data_dir / "cache" / "web")
        self._lock = threading.Lock()
        self._files: dict[str, Asset] = {}
        self._urls: dict[str, str] = {}
        for name in _OURS:
            self._add(name, (STATIC / name).read_bytes())
        self._add("htmx.js", htmx())
        # Named by its version, so that no page waits for the bundle to be built.
        self._vega_file = f"vega.{_short_hash(vega_version().encode())}.js"
        self._urls["vega.js"] = f"/assets/{self._vega_file}"

    def _add(self, name: str, content: bytes) -> None:
        stem, suffix = name.rsplit(".", 1)
        file = f"{stem}.{_short_hash(content)}.{suffix}"
        self._files[file] = _asset(name, content)
        self._urls[name] = f"/assets/{file}"

    def url(self, name: str) -> str:
        """The address of a file; changes with its content."""
        return self._urls[name]

    def file(self, file: str) -> Asset | None:
        """The file of an address, without its folder."""
        if file == self._vega_file:
            with self._lock:
                if file not in self._files:
                    self._files[file] = _asset("vega.js", vega(self._caches))
        return self._files.get(file)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends one file, zipped where the browser takes that."""
        request = Request(scope, receive)
        path = request.url.path
        asset = await run_in_threadpool(self.file, path.rsplit("/", 1)[-1])
        if asset is None:
            await Response("no such file", 404, media_type="text/plain")(scope, receive, send)
            return
        zipped = "gzip" in request.headers.get("accept-encoding", "")
        headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
        if zipped:
            headers["Content-Encoding"] = "gzip"
        body = asset.zipped if zipped else asset.content
        await Response(body, media_type=asset.media_type, headers=headers)(scope, receive, send)


if __name__ == "__main__":
    vega((CHECKOUT_CACHE,))
