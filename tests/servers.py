"A server on this machine that speaks the protocols of the sources, and fails as often as told."

import hashlib
import io
import json
import random
import socket
import struct
import threading
from collections import Counter
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import soundfile as sf

PAGE = b"<!DOCTYPE html><html><title>Sorry</title>The service is not available.</html>" * 30
GENRES = {132: "Pop", 152: "Rock", 129: "Jazz", 106: "Electro"}
ARTISTS = 40  # of each genre
TRACKS = 10  # of each artist


def song(number: int, seconds: float = 6.0) -> bytes:
    "An MP3 file of its own for each number: one of eight sounds, and a tag."
    text = b"\0" + f"song {number}".encode()
    frame = b"TIT2" + struct.pack(">IH", len(text), 0) + text
    return b"ID3\x03\0\0" + struct.pack(">I", len(frame)) + frame + sound(number % 8, seconds)


@cache
def sound(number: int, seconds: float) -> bytes:
    "A tone in noise, as MP3."
    t = np.arange(int(22050 * seconds)) / 22050
    tone = 0.3 * np.sin(2 * np.pi * (220 + 40 * number) * t)
    noise = 0.05 * np.random.default_rng(number).standard_normal(len(t))
    file = io.BytesIO()
    sf.write(file, (tone + noise).astype("float32"), 22050, format="MP3")
    return file.getvalue()


class Server(ThreadingHTTPServer):
    """What is served, what goes wrong, and what was asked for.

    `files`: path → bytes, served with ranges. `faults`: kind → share of the requests that meet it.
    `answers`: path → what a function of the query answers there (body, status, headers), or None.
    `log`: the paths asked for. `ranges`: the ranges asked for. `sent`: path → times it was sent
    whole. `met`: fault → times it was met.
    """

    daemon_threads = True

    def __init__(self, faults=None, files=None, secret="", previews=True, answers=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults = faults or {}
        self.files = files or {}
        self.answers = answers or {}
        self.secret = secret
        self.previews = previews
        self.log = []
        self.ranges = []
        self.sent = {}
        self.agents = set()
        self.tokens = set()
        self.met = Counter()
        self.lock = threading.Lock()
        self.random = random.Random(0)
        self.base = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        pass

    def drawn(self, *kinds) -> str:
        "The fault that a request meets; '' for none."
        with self.lock:
            kind = next(
                (kind for kind in kinds if self.random.random() < self.faults.get(kind, 0)), ""
            )
            self.met[kind] += 1
        return kind


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body, status=200, kind="application/json", **headers):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": len(body),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def fault(self, kind: str, body: bytes) -> bool:
        "Fail in this way; whether there was one."
        if kind == "429":
            self.answer(PAGE, 429, "text/html", Retry_After=self.server.files.get("retry-after", 0))
        elif kind in ("500", "503"):
            self.answer(PAGE, int(kind), "text/html")
        elif kind == "page":
            self.answer(PAGE, 200, "text/html")
        elif kind == "quota":
            self.answer(
                {"error": {"type": "Exception", "message": "Quota limit exceeded", "code": 4}}
            )
        elif kind == "expired":
            self.answer(PAGE, 403, "text/html")
        elif kind in ("short", "cut"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.close_connection = True
            if kind == "cut":  # the connection is reset
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
        return bool(kind)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.log.append(self.path)
        if self.fault(self.server.drawn("429", "500", "503"), b""):
            return
        if (
            self.server.secret not in self.headers.get("Authorization", "")
            or b"client_credentials" not in body
        ):
            return self.answer({"error": "invalid_client"}, 400)
        token = hashlib.sha256(f"{len(self.server.tokens)}".encode()).hexdigest()
        self.server.tokens = {token}  # the one before holds no more
        self.answer({"access_token": token, "token_type": "Bearer", "expires_in": 3600})

    def do_GET(self):
        url, server = urlsplit(self.path), self.server
        server.log.append(url.path)
        server.agents.add(self.headers.get("User-Agent"))
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        parts = url.path.strip("/").split("/")
        told = server.answers.get(url.path, lambda query: None)(query)
        if told:
            return self.answer(told[0], told[1], **told[2])
        if url.path in server.files:
            return self.file(server.files[url.path], url.path)
        if parts[0] == "preview":
            return self.preview(int(parts[1].removesuffix(".mp3")), url.path)
        if self.fault(
            server.drawn("429", "500", "503", "page", "quota" if parts[0] != "v1" else "", "cut"),
            b"{" * 200,
        ):
            return
        self.spotify(query) if parts[:2] == ["v1", "search"] else self.deezer(parts, query)

    def file(self, body: bytes, path: str):
        asked = self.headers.get("Range")
        if asked:
            self.server.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                return self.answer(b"", 416, "text/plain", Content_Range=f"bytes */{len(body)}")
            rest = body[start:]
            if self.fault(self.server.drawn("429", "500", "503"), rest):
                return
            rest_sent = rest[: max(1, len(rest) // 2)] if self.server.drawn("cut") else rest
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest_sent)
            if len(rest_sent) < len(rest):
                self.close_connection = True
        elif not self.fault(self.server.drawn("429", "500", "503", "cut", "short", "page"), body):
            with self.server.lock:
                self.server.sent[path] = self.server.sent.get(path, 0) + 1
            self.answer(body, kind="application/octet-stream")

    def preview(self, number: int, path: str):
        body = song(number)
        if self.fault(
            self.server.drawn("429", "500", "503", "cut", "short", "page", "expired"), body
        ):
            return
        with self.server.lock:
            self.server.sent[path] = self.server.sent.get(path, 0) + 1
        self.answer(body, kind="audio/mpeg")

    def link(self, number: int) -> str:
        "A preview's link; some tracks never have one."
        if random.Random(number).random() < self.server.faults.get("null", 0):
            self.server.met["null"] += 1
            return ""
        return f"{self.server.base}/preview/{number}.mp3?hdnea=exp=1~hmac=signature"

    def track(self, genre: int, artist: int, number: int) -> dict:
        track_id = genre * 100_000 + artist * 100 + number
        return {
            "id": track_id,
            "title": f"Song {number}",
            "duration": 200,
            "preview": self.link(track_id),
            "artist": {"id": genre * 1000 + artist, "name": f"Artist {artist} <b>"},
            "album": {"id": 1, "title": "Album"},
            "type": "track",
        }

    def page(self, entries: list, query: dict, path: str):
        start, limit = int(query.get("index", 0)), int(query.get("limit", 25))
        answer = {"data": entries[start : start + limit], "total": len(entries)}
        if start + limit < len(entries):
            answer["next"] = f"{self.server.base}{path}?index={start + limit}&limit={limit}"
        self.answer(answer)

    def deezer(self, parts, query):
        path = "/" + "/".join(parts)
        if path == "/genre":
            return self.answer(
                {
                    "data": [{"id": 0, "name": "All"}]
                    + [
                        {"id": number, "name": name, "type": "genre"}
                        for number, name in GENRES.items()
                    ]
                }
            )
        if parts[0] == "genre" and parts[-1] == "artists":
            return self.page(
                [
                    {"id": int(parts[1]) * 1000 + artist, "name": f"Artist {artist}"}
                    for artist in range(ARTISTS)
                ],
                query,
                path,
            )
        if parts[0] == "artist":
            return self.page(
                [
                    self.track(int(parts[1]) // 1000, int(parts[1]) % 1000, number)
                    for number in range(TRACKS)
                ],
                query,
                path,
            )
        if parts[0] == "chart":
            return self.page(
                [self.track(int(parts[1]), ARTISTS - 1, number) for number in range(TRACKS)],
                query,
                path,
            )
        if parts[0] == "track":
            return self.answer(
                self.track(
                    int(parts[1]) // 100_000, int(parts[1]) % 100_000 // 100, int(parts[1]) % 100
                )
            )
        self.answer({"error": {"type": "DataException", "message": "no data", "code": 800}})

    def spotify(self, query):
        if self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.server.tokens:
            return self.answer(
                {"error": {"status": 401, "message": "The access token expired"}}, 401
            )
        if "tired" in self.server.files:  # the token expires once, in the middle
            del self.server.files["tired"]
            self.server.tokens = set()
        offset, limit, total = int(query["offset"]), int(query["limit"]), 200
        if limit > self.server.files.get("limit", 50):
            return self.answer({"error": {"status": 400, "message": "Invalid limit"}}, 400)
        first = int(hashlib.sha256(query["q"].encode()).hexdigest()[:4], 16) * 1000
        items = [
            {
                "id": str(number),
                "name": f"Song {number}",
                "preview_url": (self.link(number) or None) if self.server.previews else None,
                "artists": [{"name": f"Artist {number % 50}"}],
                "album": {"name": "Album"},
            }
            for number in range(first + offset, first + min(offset + limit, total))
        ]
        self.answer(
            {
                "tracks": {
                    "items": items,
                    "total": total,
                    "next": "more" if offset + limit < total else None,
                }
            }
        )
