"""A local web server that serves ranges, slowly or wrongly."""

from __future__ import annotations

import io
import tarfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """A local web server: `answers[path]` is a list of behaviours, the last one repeated."""

    def __init__(self) -> None:
        self.answers: dict[str, list] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.send_response(200)
                self.end_headers()

            def do_GET(self):
                outer.asked.append(self.path)
                todo = outer.answers[self.path]
                (todo.pop(0) if len(todo) > 1 else todo[0])(self)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, name: str, *behaviours) -> str:
        self.answers[f"/{name}"] = list(behaviours)
        return f"http://127.0.0.1:{self.http.server_port}/{name}"


def send(content: bytes, status: int = 200, promised: int | None = None, pause: float = 0):
    def answer(handler):
        handler.send_response(status)
        handler.send_header("Content-Length", str(promised or len(content)))
        handler.end_headers()
        half = len(content) // 2
        handler.wfile.write(content[:half])
        handler.wfile.flush()
        time.sleep(pause)
        handler.wfile.write(content[half:])

    return answer


class Ranges:
    """Answers with ranges, an ETag, and connections that drop after `drop` bytes."""

    def __init__(self, content: bytes, drop: int = 0, etag: str = '"1"', ranges: bool = True):
        self.content, self.drop, self.etag, self.ranges = content, drop, etag, ranges
        self.sent: list[tuple[int, int]] = []

    def __call__(self, handler) -> None:
        asked = handler.headers.get("Range", "") if self.ranges else ""
        same = handler.headers.get("If-Range", "") == self.etag
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and same else 0
        if start and start >= len(self.content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.content)}")
            handler.end_headers()
            return
        part = self.content[start:]
        handler.send_response(206 if start else 200)
        if start:
            last = len(self.content) - 1
            handler.send_header("Content-Range", f"bytes {start}-{last}/{len(self.content)}")
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.send_header("Content-Length", str(len(part)))
        handler.end_headers()
        sent = part[: self.drop] if self.drop else part
        self.sent.append((start, len(sent)))  # before the client has it and looks
        handler.wfile.write(sent)


PIECE = 4 << 16  # bytes


CONTENT = bytes(range(256)) * 4000  # a little less than four pieces


def archive_of(kind: str, **members: bytes) -> bytes:
    box = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(box, "w") as out:
            for name, content in members.items():
                out.writestr(name, content)
        return box.getvalue()
    with tarfile.open(fileobj=box, mode="w:gz") as out:
        for name, content in members.items():
            info = tarfile.TarInfo("./" + name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return box.getvalue()
