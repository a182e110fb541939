"""Every way to end is one line and an exit code; no text of a prompt is in it."""

from __future__ import annotations

import click
import pytest

from pangolin_guard import InputError, MissingExtraError
from pangolin_guard.cli.edge import run_at_edge


def raising(error: BaseException):
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("the list\nis empty"), 2, "the list is empty"),
        (MissingExtraError("train", "torch"), 2, "pip install 'pangolin-guard[train]'"),
        (click.UsageError("Bad thing"), 2, "Bad thing. See 'pangolin --help'."),
        (click.ClickException("Cannot do"), 2, "Cannot do"),
        (FileNotFoundError(2, "No such file", "a.txt"), 2, "No such file: a.txt"),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
        (KeyError("secret prompt"), 2, "unexpected KeyError; this is a bug"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
    ],
)
def test_an_error_is_one_line_and_a_code(capsys, error, code, line):
    assert run_at_edge(raising(error)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pangolin: ")
    assert line in err
    assert err.count("\n") == 1
    assert "secret" not in err


def test_the_traceback_is_for_those_who_ask(capsys, monkeypatch):
    monkeypatch.setenv("PANGOLIN_DEBUG", "1")
    assert run_at_edge(raising(KeyError("where"))) == 2
    assert "Traceback" in capsys.readouterr().err


def test_exit_codes_pass_through(capsys):
    assert run_at_edge(lambda: 1) == 1
    assert run_at_edge(raising(click.exceptions.Exit(0))) == 0
    assert capsys.readouterr().err == ""


def test_a_reader_that_left_is_no_noise(capsys):
    assert run_at_edge(raising(BrokenPipeError())) == 2
    assert capsys.readouterr().err == ""
