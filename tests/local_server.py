"""A file server on this machine for download tests: ranges, broken connections, refusals."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """Serves one file under any path and remembers what was asked for.

    `body`, `etag`, `ranges` (whether Range is understood) may be changed between requests.
    `break_after`: the first connections end after that many bytes of the body, one entry each.
    `statuses`: the first answers are these status codes with no file.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.etag: str | None = '"v1"'
        self.ranges = True
        self.break_after: list[int] = []
        self.statuses: list[int] = []
        self.asked: list[str | None] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/data/rows.json"

    def __enter__(self) -> FileServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(owner: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            owner.asked.append(asked)
            if owner.statuses:
                self.send_response(owner.statuses.pop(0))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._send(asked if self.headers.get("If-Range") == owner.etag else None)

        def _send(self, asked: str | None) -> None:
            body, start = owner.body, 0
            if asked and owner.ranges:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            if owner.etag:
                self.send_header("ETag", owner.etag)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            end = len(body)
            if owner.break_after:
                end = min(end, start + owner.break_after.pop(0))
            self.wfile.write(body[start:end])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            return

    return Handler
