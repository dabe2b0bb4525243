"""The whole command line put together, and the one place where errors become words and exit codes."""

from __future__ import annotations

import atexit
import gc
import io
import re
import resource
import signal
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from ropa import __version__
from ropa.cli import (
    apply,
    check,
    demo,
    explain,
    finding,
    halt,
    hold,
    init,
    ledger,
    location,
    mandate,
    plan,
    reapply,
    register,
)
from ropa.cli import report as report_command
from ropa.cli import schedule as schedule_command
from ropa.cli import status as status_command
from ropa.cli import worker as worker_command
from ropa.cli.inputs import check_arguments
from ropa.cli.output import SETTINGS, last_line, leave_pipe, print_error, print_unexpected
from ropa.errors import CallError, RopaError

HELP = """\b
Example, from nothing to a report a regulator could read, on generated people:
  ropa demo
In a folder of your own:
  ropa init                        a commented config/retention.toml, database, keys
  ropa register import register.toml
  ropa check                       what is missing or wrong, and what to do
  ropa plan                        what is past its limit, record by record
  ropa approve 1 --by "An Peeters" --reason "checked" --digest sha256:...
  ropa apply 1                     erase just that, with evidence
  ropa report --lang nl            the register as a document for the regulator

A register of processing activities (GDPR Art. 30) that enforces its own retention periods and proves it.

\b
Exit codes:
  0    done
  1    a check fell short (check, status; ledger verify: broken), or unexpected error
  2    the call or the configuration is wrong; nothing was touched
  3    done, but some records failed, changed or could not be verified, or some targets
       were refused (ledger verify: sound, but intents are open)
  4    refused by a safety rule, nothing was done
  5    a location is unreachable or denies access
  6    the ledger is broken or ahead of the database: everything stops
  75   another run is under way
  130, 143  interrupted; the batch in hand was settled, run again
"""

app = typer.Typer(
    name="ropa",
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("init")(init.init)
app.command("check")(check.check)
app.add_typer(register.app, name="register")
app.add_typer(location.app, name="location")
app.add_typer(plan.app, name="plan")
app.command("approve")(plan.approve)
app.command("reject")(plan.reject)
app.command("apply")(apply.apply)
app.add_typer(mandate.app, name="mandate")
app.command("sweep")(apply.sweep)
app.command("schedule")(schedule_command.schedule)
app.command("worker")(worker_command.worker)
app.command("reapply")(reapply.reapply)
app.command("halt")(halt.halt)
app.command("resume")(halt.resume)
app.command("explain")(explain.explain)
app.add_typer(hold.app, name="hold")
app.add_typer(finding.app, name="finding")
app.add_typer(ledger.app, name="ledger")
app.command("report")(report_command.report)
app.command("status")(status_command.status)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"ropa {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    folders: Annotated[
        list[Path] | None,
        typer.Option("-C", metavar="DIR", help="Work in this project folder, and read paths from there."),
    ] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more, also about unexpected errors.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print results and errors only.")] = False,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Log to stderr as JSON, one line an event, each with its run's id.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - handled by its callback
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    SETTINGS.folder = Path().joinpath(*(folders or ()))
    SETTINGS.is_verbose, SETTINGS.is_quiet = verbose, quiet
    if log_json:
        from ropa.cli.logs import log_as_json

        SETTINGS.is_log_json = True
        log_as_json()
    if folders and not SETTINGS.folder.is_dir():
        raise CallError(f"{SETTINGS.folder} is not a folder", next_step="-C names an existing project folder.")


def _stop(signum: int, _frame: object) -> None:
    raise SystemExit(128 + signum)


@cache
def _command() -> Any:
    return typer.main.get_command(app)


def main() -> None:
    """Run the command line and exit with the contract's code (``ropa --help`` lists them)."""
    # The memory of a process that crashes holds keys and records: it is never written to a core file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    # A run makes millions of small values and no circles worth looking for, so they are looked through rarely.
    gc.set_threshold(200_000, 20, 100)
    # Nor is what a process holds when it ends, its modules most of all, looked through once more.
    atexit.register(gc.freeze)
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    SETTINGS.reset(is_json="--json" in options)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show stops nothing
    try:
        check_arguments(arguments)
        code = _command()(args=arguments, prog_name="ropa", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except RopaError as error:
        return print_error(error)
    except TyperException as error:
        return _print_usage(error)
    except BrokenPipeError:
        leave_pipe()
        return 1
    except SystemExit as stop:
        return _print_stop(stop)
    except Exception as error:  # noqa: BLE001 - the last resort: no traceback with data ever reaches a user
        return print_unexpected(error)
    return code if isinstance(code, int) else 0


def _print_usage(error: TyperException) -> int:
    """A call that does not fit: say what is wrong and, for an unknown command, which there are."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        if SETTINGS.is_json:
            return print_error(CallError("a command is needed", code="usage"))
        typer.echo(error.format_message(), err=True)
        return CallError.exit_code
    message = error.format_message()
    path = context.command_path if context is not None else "ropa"
    step = f"`{path} --help` says what it takes."
    if message.startswith("No such command") and context is not None and hasattr(context.command, "commands"):
        step = f"There are: {', '.join(context.command.commands)}. {step}"
    elif re.match(r"No such option: '?-\d", message):
        step = f"Put -- before a value that starts with a minus sign. {step}"
    return print_error(CallError(message[:1].lower() + message[1:], next_step=step, code="usage"))


def _print_stop(stop: SystemExit) -> int:
    """A signal, outside of a run (``apply`` and ``sweep`` settle their batch first)."""
    code = stop.code if isinstance(stop.code, int) else 1
    if SETTINGS.is_json and code > 128:
        last_line({"schema": "ropa.error/1", "exit_code": code, "code": "interrupted", **_INTERRUPTED})
    return code


_INTERRUPTED: dict[str, object] = {"message": "interrupted", "next_step": "Run the command again.", "problems": []}
