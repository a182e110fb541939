"""The outermost edge of the command line: every way a command can end, as an exit code.

A function enters, an exit code leaves; what went wrong is one line on stderr. The line never
holds prompt text: unexpected errors are named by their type alone.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

import click

from pangolin_guard.errors import PangolinGuardError

EXIT_SAFE = 0
EXIT_UNSAFE = 1
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

DEBUG_VARIABLE = "PANGOLIN_DEBUG"


def run_at_edge(command: Callable[[], int]) -> int:
    """Run a command and return its exit code, whatever happens.

    Errors of this package and wrong use become one line on stderr and exit code 2. So does any
    other exception, named by its type; with PANGOLIN_DEBUG=1 its traceback is printed too.

    Args:
        command: Does the work and returns its exit code.

    Returns:
        0 safe, 1 unsafe, 2 wrong use or error, 130 interrupted.
    """
    try:
        code = command()
        sys.stdout.flush()
        return code
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted", EXIT_INTERRUPTED)
    except click.UsageError as exc:
        return _wrong_use(exc)
    except click.ClickException as exc:
        return _fail(exc.format_message())
    except PangolinGuardError as exc:
        return _fail(str(exc))
    except BrokenPipeError:
        return _reader_left()
    except OSError as exc:
        return _fail(_system_line(exc))
    except Exception as exc:  # the one place that catches everything
        return _fail(
            f"unexpected {type(exc).__name__}; this is a bug in pangolin-guard. "
            f"Set {DEBUG_VARIABLE}=1 to see where it happened."
        )


def _fail(message: str, code: int = EXIT_ERROR) -> int:
    if os.environ.get(DEBUG_VARIABLE) == "1" and code == EXIT_ERROR:
        traceback.print_exc()
    line = " ".join(message.split())
    print(f"pangolin: {line}", file=sys.stderr)
    return code


def _wrong_use(exc: click.UsageError) -> int:
    if type(exc).__name__ == "NoArgsIsHelpError":  # click >= 8.2; its message is the whole help
        exc.show()
        return EXIT_ERROR
    path = exc.ctx.command_path if exc.ctx is not None else "pangolin"
    return _fail(f"{_usage_message(exc)} See '{path} --help'.")


def _usage_message(exc: click.UsageError) -> str:
    if isinstance(exc, click.NoSuchOption):
        if any(c.isspace() for c in exc.option_name):
            return "A text that starts with '-' has to follow a lone '--'."
    elif type(exc) is click.UsageError and "unexpected extra argument" in exc.format_message():
        return "More arguments than expected; quote a text that has spaces."
    message = exc.format_message()
    return message if message.endswith((".", "?", "!")) else f"{message}."


def _system_line(exc: OSError) -> str:
    what = exc.strerror or type(exc).__name__
    return f"{what}: {exc.filename}" if exc.filename is not None else what


def _reader_left() -> int:
    """Keep the interpreter from complaining about a closed stdout when it ends."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):
        pass
    return EXIT_ERROR
