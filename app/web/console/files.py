"""The console's own files: style, scripts and what is vendored, out of `app/web/static`, from memory.

Only what lies there is served, so no path leads anywhere else. A URL with the file's own stamp (`stamped`) may be kept for a year;
one without is asked for anew each time, and answered by 304 while the file is the same.
"""

import gzip
import hashlib
import mimetypes
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

STATIC = Path(__file__).parent.parent / "static"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".md": "text/plain", "": "text/plain"}
FOREVER = "public, max-age=31536000, immutable"
SMALL = 1024
"""Bytes that are not worth packing."""
PACKED = ("text/", "image/svg", "application/json", "application/wasm")


class File:
    """One file as it was when it was read."""

    def __init__(self, path: Path) -> None:
        self.stood = _stand(path)
        self.content = path.read_bytes()
        self.stamp = hashlib.sha256(self.content).hexdigest()[:16]
        kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self.kind = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
        packs = len(self.content) > SMALL and kind.startswith(PACKED)
        self.packed = gzip.compress(self.content, 9, mtime=0) if packs else b""


class Files:
    """All files below one folder, by their paths with slashes."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._folder = folder
        self._files: dict[str, File] = {}

    def stamped(self, name: str) -> str:
        """The URL of a file that there is, with its stamp. Raises KeyError: a template names what is not there."""
        file = self.find(name)
        if file is None:
            raise KeyError(f"expected a file below app/web/static, got {name!r}")
        return f"/static/{name}?v={file.stamp}"

    def find(self, name: str) -> File | None:
        """A file by its name; read anew once it was changed."""
        known = self._files.get(name)
        path = self._folder / name
        if known is None and name not in {str(p.relative_to(self._folder)) for p in self._folder.rglob("*")}:
            return None
        try:
            if known is None or known.stood != _stand(path):
                known = self._files[name] = File(path)
        except OSError:  # a folder, or taken away meanwhile
            self._files.pop(name, None)
            return None
        return known

    def route(self) -> Route:
        """`/static/...`. Nothing in there is secret, so nobody has to log in for it."""
        return Route("/static/{name:path}", self.serve, methods=["GET"])

    async def serve(self, request: Request) -> Response:
        """One file, packed where the browser unpacks it."""
        file = self.find(request.path_params["name"])
        if file is None:
            return PlainTextResponse("there is no such file\n", 404)
        kept = request.query_params.get("v") == file.stamp
        headers = {
            "ETag": f'"{file.stamp}"',
            "Cache-Control": FOREVER if kept else "no-cache",
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        if file.stamp in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if file.packed and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(file.packed, media_type=file.kind, headers={**headers, "Content-Encoding": "gzip"})
        return Response(file.content, media_type=file.kind, headers=headers)


def _stand(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size
