"""How a command begins and how it ends: with which settings and logs, and a failure as one clear line."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from threading import Event

import typer

from kernel import logs
from kernel.errors import MoversError, TransientError, UserError
from kernel.logs import get_logger
from kernel.settings import Settings
from movers.running import running
from movers.settings import load

log = get_logger(__name__)

_IN_PROCESS = Event()
"""Set in a process that runs until it is told to stop, as against a command that answers and ends."""


def command_settings(overrides: Mapping[str, str] | None = None) -> Settings:
    """The settings; where the environment is silent, those of the stack running under MOVERS_HOME.

    A command prints what it was asked for; the libraries' own lines come only from processes (`process_settings`).
    """
    logs.configure("critical")
    return _settings_of_the_run(overrides)


def _settings_of_the_run(overrides: Mapping[str, str] | None = None) -> Settings:
    tree = load(overrides)
    state = running(tree.process.movers_home)
    if state is None:
        return tree
    of_the_run = {name: value for name, value in state["env"].items() if name not in tree.given}
    return load({**of_the_run, **tree.overrides})


def process_settings(name: str) -> Settings:
    """The same for a process that runs until it is told to stop: it logs, under this name, its failure too."""
    _IN_PROCESS.set()
    logs.configure("error", process=name)  # until it is known what is wanted
    tree = _settings_of_the_run()
    logs.configure(tree.process.log_level, process=name)
    return tree


def run_command(app: typer.Typer) -> None:
    """Runs the command that was called for, to the end of this process."""
    try:
        app(standalone_mode=True)
    except UserError as error:
        _fail(str(error), 2)
    except TransientError as error:
        _fail(f"{error} (is the stack running? `movers doctor` looks)", 1)
    except MoversError as error:
        _fail(str(error), 1)
    except BrokenPipeError:
        os._exit(0)  # `movers … | head`: the reader has what it wanted
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(text: str, code: int) -> None:
    """A process's failure is a log line like its others, so that the supervisor shows it; a command's is a sentence."""
    if sys.stderr.isatty() or not _IN_PROCESS.is_set():
        typer.echo(f"movers: {text}", err=True)
    else:
        log.error("failed", detail=text)
    sys.exit(code)
