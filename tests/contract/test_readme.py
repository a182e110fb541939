"""The README and the docs are true: code runs and prints what is shown, commands exist, files too."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pangolin_guard.cli import cli
from repo import ROOT

README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return language and content of every fenced block."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def code_with_output(page: Path) -> Iterator[tuple[str, str | None]]:
    """Yield each python block with the text block that follows it, if one does."""
    found = blocks(page)
    for index, (language, code) in enumerate(found):
        if language == "python":
            after = found[index + 1] if index + 1 < len(found) else ("", "")
            yield code, after[1] if after[0] == "text" else None


def command_lines(page: Path) -> Iterator[str]:
    """Yield the `pangolin` commands of shell blocks, continued lines joined."""
    for language, content in blocks(page):
        if language in ("bash", "console", "sh"):
            for line in content.replace("\\\n", " ").splitlines():
                command = line.strip().removeprefix("$ ").rpartition(" | ")[2]
                if command.startswith("pangolin "):
                    yield command.partition("  #")[0]


def same_but_for_numbers(shown: str, printed: str) -> bool:
    return NUMBER.sub("N", shown).split() == NUMBER.sub("N", printed).split()


PYTHON = [
    pytest.param(code, output, id=f"{page.name}-{index}")
    for page in PAGES
    for index, (code, output) in enumerate(code_with_output(page))
]
COMMANDS = sorted({command for page in PAGES for command in command_lines(page)})
SHOWN = [
    pytest.param(content, id=str(index))
    for index, (language, content) in enumerate(blocks(README))
    if language == "console"
]


@pytest.mark.parametrize(("code", "output"), PYTHON)
def test_python_blocks_run_and_print_what_is_shown(code, output, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if output is not None:
        assert same_but_for_numbers(output, done.stdout), done.stdout


@pytest.mark.parametrize("content", SHOWN)
def test_commands_print_what_is_shown(content):
    command, _, shown = content.removeprefix("$ ").partition("\n")
    result = CliRunner().invoke(cli, shlex.split(command)[1:])
    assert same_but_for_numbers(shown, result.stdout), result.output


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_and_options_exist(line):
    words = shlex.split(line)[1:]
    command: click.Command = cli
    context = click.Context(cli, info_name="pangolin")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words.pop(0))
        assert found is not None, line
        command, context = found, click.Context(found, parent=context)
    parsed, _, _ = command.make_parser(context).parse_args(list(words))
    known = {parameter.name for parameter in command.params}
    assert set(parsed) <= known


def test_install_and_first_code_come_early():
    lines = README.read_text(encoding="utf-8").splitlines()
    first = {word: next(i for i, line in enumerate(lines, 1) if word in line) for word in (
        "make demo", "pip install", "```python")}  # fmt: skip
    assert first["make demo"] <= 20
    assert first["pip install"] <= 20
    assert first["```python"] <= 30


def test_the_file_map_names_what_is_there():
    rows = [line for line in README.read_text(encoding="utf-8").splitlines() if "| `" in line]
    paths = [path for row in rows for path in re.findall(r"`([\w./-]+/[\w./-]*)`", row)]
    assert len(paths) > 10
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_no_figure_is_left_to_fill_in(page):
    assert re.findall(r"@@\w+@@", page.read_text(encoding="utf-8")) == []
