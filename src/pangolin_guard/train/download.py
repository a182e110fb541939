"""One file over HTTP, resumed where it broke off.

An address and a path enter; the whole file at that path leaves, or an error that says how to
bring the file by hand. What is there of it waits beside it as `NAME.part`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pangolin_guard.errors import DownloadError
from pangolin_guard.extras import require

Step = Callable[[int, int], None]
ATTEMPTS = 5
TIMEOUT_S = 30.0
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_RETRIED = (408, 425, 429, 500, 502, 503, 504)


class _BrokenOff(Exception):
    """The connection ended before the file did; what came is kept."""


def download(url: str, target: Path, *, step: Step | None = None, pause_s: float = 1.0) -> None:
    """Fetch a file, going on where an earlier attempt, or an earlier run, broke off.

    Args:
        url: An http or https address.
        target: Where the file goes; it appears there only when it is whole.
        step: Called with bytes so far and in all (0 if the server does not say).
        pause_s: Seconds to wait after the first failure; doubled after each.

    Raises:
        DownloadError: If the server refuses, cannot be reached, or breaks off five times without
            sending anything new.
        MissingExtraError: If httpx is not installed.
    """
    httpx = require("data", "httpx")
    part, state = target.with_name(target.name + ".part"), target.with_name(target.name + ".state")
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    with httpx.Client(follow_redirects=True, timeout=TIMEOUT_S) as client:
        while True:
            before = _size(part)
            try:
                _attempt(client, url, part, state, step)
                break
            except (httpx.TransportError, _BrokenOff) as exc:
                failures = 0 if _size(part) > before else failures + 1
                if failures >= ATTEMPTS:
                    raise DownloadError(_by_hand(url, target, str(exc)), url) from exc
                time.sleep(pause_s * 2**failures)
            except httpx.InvalidURL as exc:
                raise DownloadError(f"{url} is no address: {exc}", url) from exc
    with part.open("rb") as file:
        pointer = file.read(len(_LFS_POINTER)) == _LFS_POINTER
    if pointer:
        part.unlink()
        raise DownloadError(f"{url} gives a Git LFS pointer, not the file; use the media address")
    part.replace(target)
    state.unlink(missing_ok=True)


def offline_message(url: str, target: Path) -> str:
    """Return how to bring a file by hand."""
    return (
        f"{url} is not at hand, and nothing is fetched offline. Fetch it on a machine with "
        f"network and put it at {target}"
    )


def _by_hand(url: str, target: Path, problem: str) -> str:
    return (
        f"cannot fetch {url} ({problem or 'connection failed'}). Run again to go on where it broke "
        f"off; without network, fetch it elsewhere and put it at {target}"
    )


def _attempt(client: Any, url: str, part: Path, state: Path, step: Step | None) -> None:  # noqa: ANN401
    """Ask for what is missing and append it."""
    have, validator = _size(part), _validator(state)
    headers = {"Accept-Encoding": "identity"}
    if have and validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == 416:  # what is there cannot be continued
            part.unlink()
            raise _BrokenOff("the server's file is shorter than what was fetched of it")
        if response.status_code in _RETRIED:
            raise _BrokenOff(f"HTTP {response.status_code}")
        if response.status_code not in (200, 206):
            raise DownloadError(f"cannot fetch {url}: HTTP {response.status_code}", url)
        have, total = _expected(response, have)
        _remember(response, state)
        with part.open("r+b" if have else "wb") as file:
            file.seek(have)
            file.truncate()
            for chunk in response.iter_raw():
                have += file.write(chunk)
                if step is not None:
                    step(have, total)
    if total and have != total:
        raise _BrokenOff(f"{have} of {total} bytes came")


def _expected(response: Any, have: int) -> tuple[int, int]:  # noqa: ANN401
    """Where the answer begins and how long the whole file is, 0 if unknown."""
    if response.status_code == 206:
        span, _, total = response.headers.get("content-range", "").rpartition("/")
        start = span.removeprefix("bytes ").partition("-")[0]
        if start != str(have):
            raise _BrokenOff("the server answered with another range than asked for")
        return have, int(total) if total.isdigit() else 0
    return 0, int(response.headers.get("content-length", 0))


def _remember(response: Any, state: Path) -> None:  # noqa: ANN401
    """Keep what tells this version of the file from a later one."""
    etag = response.headers.get("etag", "")
    strong = etag if etag and not etag.startswith("W/") else None
    validator = strong or response.headers.get("last-modified")
    state.write_text(json.dumps({"validator": validator}), encoding="utf-8")


def _validator(state: Path) -> str | None:
    try:
        value = json.loads(state.read_text(encoding="utf-8"))["validator"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, str) else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
