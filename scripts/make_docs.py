"""Write docs/cli.md from the commands themselves.

    python scripts/make_docs.py            write it
    python scripts/make_docs.py --check    fail where it is not up to date

The text comes from options and docstrings, not from click's own help layout, which changes
between its releases.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from pangolin_guard.cli import cli

TARGET = Path(__file__).parent.parent / "docs" / "cli.md"
INTRO = """\
# Command line

Written by `make docs` from the commands' own help; do not edit by hand.

Exit codes of every command: 0 safe or done, 1 something unsafe (or a misjudged row in `demo`),
2 wrong use or error, 130 interrupted. Errors are one line on stderr that begins with `pangolin: `;
`PANGOLIN_DEBUG=1` adds the traceback. `PANGOLIN_MODEL` names the model where `--model` does not.
"""


def render() -> str:
    """Return the whole page."""
    parts = [INTRO]
    for path, command in walk(cli, ("pangolin",)):
        if len(path) > 1:
            parts.append(render_command(path, command))
    return "\n".join(parts)


def walk(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield a command and everything below it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from walk(child, (*path, name))


def render_command(path: tuple[str, ...], command: click.Command) -> str:
    """Return one command's section: usage, words, options."""
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    usage = [*path, *(["[OPTIONS]"] if options else []), *map(argument_name, arguments)]
    if isinstance(command, click.Group):
        usage.append("[COMMAND]" if command.invoke_without_command else "COMMAND")
    level = "#" * len(path)
    lines = [f"{level} {' '.join(path)}", "", "```", " ".join(usage), "```", ""]
    lines += [inspect.cleandoc(command.help or ""), ""]
    if options:
        lines += ["| option | meaning |", "| --- | --- |"]
        lines += [render_option(option) for option in options]
        lines.append("")
    return "\n".join(lines)


def argument_name(argument: click.Argument) -> str:
    """Return an argument as the usage line shows it."""
    if argument.metavar:
        return argument.metavar
    name = (argument.name or "").upper() + ("..." if argument.nargs != 1 else "")
    return name if argument.required else f"[{name}]"


def render_option(option: click.Option) -> str:
    """Return one table row."""
    names = ", ".join(option.opts)
    if option.secondary_opts:
        names += " / " + ", ".join(option.secondary_opts)
    if not option.is_flag:
        names += f" {value_name(option)}"
    words = (option.help or "").strip()
    if option.required:
        words += " Required."
    elif option.secondary_opts:
        words += f" Default: {(option.opts if option.default else option.secondary_opts)[0]}."
    elif option.show_default and isinstance(option.default, str | int | float):
        words += f" Default: {option.default}."
    if option.multiple:
        words += " May be given several times."
    return (
        f"| `{names.replace('|', chr(92) + '|')}` | {words.strip().replace('|', chr(92) + '|')} |"
    )


def value_name(option: click.Option) -> str:
    """Return what stands for the value: its choices, its metavar or its type."""
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(str(getattr(choice, "value", choice)) for choice in option.type.choices)
    names = {"integer range": "INTEGER", "float range": "FLOAT", "filename": "FILE"}
    return names.get(option.type.name, option.type.name.upper())


def main() -> None:
    """Write the page, or compare it."""
    page = render()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(page, encoding="utf-8")
        print(f"wrote {TARGET}")
    elif not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != page:
        sys.exit(f"{TARGET} is not up to date; run: make docs")


if __name__ == "__main__":
    main()
