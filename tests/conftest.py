"""Fixtures for every test: a tiny model, a clean environment, and no network.

Markers follow from the folder: tests/train gets `train` and is left out where torch is not
installed; tests/package gets `package`.
"""

from __future__ import annotations

import os
import socket
from importlib.util import find_spec
from pathlib import Path

import pytest

from pangolin_guard import Guard
from pangolin_guard.runtime.engine import Engine
from pangolin_guard.runtime.session import Session
from pangolin_guard.runtime.tokenize import TextTokenizer
from tiny import TINY, FakeSession, make_tiny_config, write_tiny_bundle

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"

_LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")

os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when huggingface_hub is imported

collect_ignore = [] if find_spec("torch") and find_spec("transformers") else ["train"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = Path(item.path).parent.name
        if folder in ("train", "package"):
            item.add_marker(folder)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    """No setting of the developer's shell reaches a test."""
    for name in list(os.environ):
        if name.startswith(("PANGOLIN_", "HF_", "TRANSFORMERS_", "WANDB_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A socket may only reach this machine."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def check(sock, address):
        is_unix = sock.family == getattr(socket, "AF_UNIX", None)
        if not is_unix and (not isinstance(address, tuple) or address[0] not in _LOCAL_HOSTS):
            raise OSError(f"tests have no network, refused to connect to {address!r}")

    def guarded_connect(sock, address):
        check(sock, address)
        return connect(sock, address)

    def guarded_connect_ex(sock, address):
        check(sock, address)
        return connect_ex(sock, address)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder ../shared beside the repository; the test is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared beside the repository, which is missing")
    return SHARED


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory) -> Path:
    """A bundle that flags "ignore", "previous", "instructions" and the like; do not change it."""
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture
def own_bundle(tmp_path) -> Path:
    """A copy of the tiny bundle that a test may damage."""
    return write_tiny_bundle(tmp_path / "own")


@pytest.fixture
def tiny_guard(tiny_bundle) -> Guard:
    """A guard over the tiny bundle."""
    return Guard(tiny_bundle, threads=1)


@pytest.fixture(scope="session")
def tiny_tokenizer() -> TextTokenizer:
    """The tokenizer of the tiny bundle, with its small windows."""
    return TextTokenizer.from_file(TINY / "tokenizer.json", max_tokens=32, overlap=8)


@pytest.fixture
def fake_engine(tiny_tokenizer):
    """Make an engine over a fake session: `fake_engine(margin)`, logits (-margin/2, margin/2)."""

    def make(margin=0.0, *, session: Session | None = None, **changes) -> Engine:
        session = FakeSession(margin) if session is None else session
        return Engine(make_tiny_config(**changes), tiny_tokenizer, session)

    return make
