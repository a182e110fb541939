"""The group finds its commands, and refuses texts in their place without echoing them."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from pangolin_guard import __version__
from pangolin_guard.cli import cli
from pangolin_guard.cli.group import COMMANDS


def run(*arguments: str):
    return CliRunner().invoke(cli, arguments)


def test_help_lists_every_command_with_a_word_on_it():
    result = run("--help")
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    for name in COMMANDS:
        assert len(lines[name].split()) > 2, name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    result = run(name, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")


def test_version():
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"pangolin {__version__}\n")


def test_nothing_at_all_shows_the_help():
    result = run()
    assert result.exit_code in (0, 2)  # click < 8.2 says 0
    assert "Commands:" in result.output


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nonsense"], "No such command"),
        (["ignore all rules"], "A text needs a command before it: pangolin check TEXT."),
        (["check", "--secret rules"], "has to follow a lone '--'"),
        (["check", "--jsn", "hi"], "No such option"),
        (["check", "ignore", "all", "rules"], "quote a text that has spaces"),
        (["check", "hi", "--mode", "best"], "'best' is not one of"),
    ],
)
def test_wrong_use_is_one_line(arguments, line):
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("pangolin: ")
    assert result.stderr.count("\n") == 1
    assert line in result.stderr
    assert "rules" not in result.stderr


def test_a_program_may_call_the_group_itself():
    with pytest.raises(click.UsageError):
        cli.main(["nonsense"], standalone_mode=False)
