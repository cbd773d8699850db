"""An S3 server on loopback, and a proxy before it that cuts connections where a test says."""

import logging
import re
import select
import socket
import struct
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import boto3
import pytest
from botocore.config import Config
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem
from upath import UPath

from colorbatch.store import failures

BUCKET = "archive"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_MAX_ATTEMPTS": "1",
    "AWS_CONFIG_FILE": "/nowhere",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
}
Where = Literal["request headers", "request body", "answer headers", "answer body"]


@dataclass
class Cut:
    """Where connections are reset whose request line matches."""

    request: str
    where: Where
    share: float
    """Of the headers, or of the body, that goes through."""
    times: int = 10**6
    """After which all goes through."""


@dataclass
class Proxy:
    """Forwards connections to a server, and remembers the requests."""

    target: tuple[str, int]
    requests: list[str] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    done: int = 0
    """Cuts that were made."""
    answered: int = 0
    """Bytes that were sent to clients."""
    delay: float = 0.0
    """Seconds before a request is forwarded."""
    stalled: str = ""
    """Requests that match get no answer; empty: none."""
    watched: str = ""
    most_at_once: int = 0
    """Requests that match what is watched and were waiting for their answers at the same time."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._at_once = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._socket.close()

    def count(self, pattern: str) -> int:
        return sum(re.search(pattern, request) is not None for request in self.requests)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self.target) as server:
            head = _headers(client)
            line = head.split(b"\r\n", 1)[0].decode("latin-1")
            with self._lock:
                self.requests.append(line)
                cut = next((each for each in self.cuts if each.times > 0 and re.search(each.request, line)), None)
                if cut is not None:
                    cut.times -= 1
                    self.done += 1
                is_watched = re.search(self.watched, line) is not None
                self._at_once += is_watched
                self.most_at_once = max(self.most_at_once, self._at_once)
            try:
                if self.stalled and re.search(self.stalled, line):
                    while self.stalled:
                        time.sleep(0.01)
                    return
                time.sleep(self.delay)
                self.answered += _relay(client, server, head, cut)
            finally:
                with self._lock:
                    self._at_once -= is_watched


def _relay(client: socket.socket, server: socket.socket, request: bytes, cut: Cut | None) -> int:
    """Forward both ways until one end is closed, or up to where it is to be cut; return the bytes of the answer."""
    answered = 0
    is_of_request = cut is not None and cut.where.startswith("request")
    left = {client: _limit(request, cut) if cut is not None and is_of_request else None, server: None}
    seen = {client: request, server: b""}
    waiting = {client: request, server: b""}
    while True:
        for source, sink in ((client, server), (server, client)):
            data, waiting[source] = waiting[source], b""
            limit = left[source]
            sink.sendall(data if limit is None else data[:limit])
            answered += len(data) if source is server else 0
            if limit is not None:
                left[source] = limit - len(data)
                if limit <= len(data):
                    _reset(client, server)
                    return answered
        for source in select.select([client, server], [], [], 30)[0]:
            waiting[source] = source.recv(65536)
            if not waiting[source]:
                return answered
            if source is server and cut is not None and not is_of_request and left[server] is None:
                seen[server] += waiting[server]
                waiting[server] = b""
                if seen[server].startswith(b"HTTP/1.1 100"):  # the server wants the body, and answers later
                    waiting[server], end, seen[server] = seen[server].partition(b"\r\n\r\n")
                    waiting[server] += end
                elif b"\r\n\r\n" in seen[server]:
                    left[server] = _limit(seen[server], cut)
                    waiting[server] = seen[server]


def _limit(head: bytes, cut: Cut) -> int:
    """Return how many bytes go through of what begins with these headers."""
    body = head.index(b"\r\n\r\n") + 4
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    whole = int(length[1]) if length else 0
    limit = int(body * cut.share) if cut.where.endswith("headers") else body + int(whole * cut.share)
    return limit - (cut.share == 1.0)


def _reset(*ends: socket.socket) -> None:
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no orderly end
        end.close()


def _headers(source: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        data = source.recv(65536)
        if not data:
            raise ConnectionError
        head += data
    return head


class Bucket:
    """What is in the bucket, seen by another client than the one under test, past the proxy."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106
            config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def begin_anew(self) -> None:
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")).close()  # noqa: S310
        self._client.create_bucket(Bucket=BUCKET)

    def put(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def put_as_it_is(self, key: str, data: bytes) -> None:
        """Put what a client would tidy up on its way."""
        s3_backends["123456789012"]["aws"].put_object(BUCKET, key, data)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=BUCKET, Key=key)

    def files(self, prefix: str = "") -> dict[str, bytes]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        return {
            key.removeprefix(prefix): self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys
        }

    def begin_upload(self, key: str) -> None:
        upload = self._client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        self._client.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=1, Body=b"x")

    def uploads(self) -> list[str]:
        """Return the keys of uploads in parts that were neither completed nor given up."""
        return [each["Key"] for each in self._client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]


@dataclass
class S3:
    """The server, and the way to it."""

    bucket: Bucket
    proxy: Proxy

    def url(self, path: str) -> str:
        return f"s3://{BUCKET}/{path}"

    def at(self, path: str) -> UPath:
        return UPath(self.url(path))


@contextmanager
def s3_server() -> Iterator[Bucket]:
    """Start a server; it has one memory for all tests of a process."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Bucket(f"http://{host}:{port}")
    finally:
        server.stop()


@contextmanager
def emptied(bucket: Bucket, patch: pytest.MonkeyPatch) -> Iterator[S3]:
    """Begin anew, with a proxy that the library finds by its own variables, and little patience."""
    bucket.begin_anew()
    host, _, port = bucket.url.removeprefix("http://").partition(":")
    proxy = Proxy((host, int(port)))
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": proxy.url}.items():
        patch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_PROFILE"):
        patch.delenv(name, raising=False)
    patch.setattr(failures, "PAUSES", (0.01, 0.01))
    patch.setattr(S3FileSystem, "retries", 1)
    S3FileSystem.clear_instance_cache()
    try:
        yield S3(bucket, proxy)
    finally:
        S3FileSystem.clear_instance_cache()
        proxy.close()
