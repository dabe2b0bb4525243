"""The whole command line put together, and the one place where errors become words and exit codes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from ropa import __version__
from ropa.cli import apply, check, demo, explain, finding, halt, hold, init, ledger, location, mandate, plan, register
from ropa.cli import report as report_command
from ropa.cli import status as status_command
from ropa.cli.output import SETTINGS, print_error, print_unexpected
from ropa.errors import RopaError

HELP = """A register of processing activities (GDPR Art. 30) that enforces its own retention periods and proves it.

\b
Example, from nothing to a report:
  ropa demo
In a folder of your own:
  ropa init                        a commented config/retention.toml, database, keys
  ropa register import register.toml
  ropa check                       what is missing or wrong, and what to do
  ropa plan                        what is past its limit, record by record
  ropa approve 1 --by "An Peeters" --reason "checked" --digest sha256:...
  ropa apply 1                     erase just that, with evidence
  ropa report --lang nl            the register as a document for the regulator

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
    folder: Annotated[Path, typer.Option("-C", metavar="DIR", help="Work in this project folder.")] = Path(),
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more, also about unexpected errors.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print results and errors only.")] = False,
    version: Annotated[  # noqa: ARG001 - handled by its callback
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    SETTINGS.folder, SETTINGS.is_verbose, SETTINGS.is_quiet = folder, verbose, quiet


def _stop(signum: int, _frame: object) -> None:
    os._exit(128 + signum) if signum == signal.SIGTERM else sys.exit(128 + signum)


def main() -> None:
    """Run the command line and exit with the contract's code (``ropa --help`` lists them)."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    try:
        app()
    except RopaError as error:
        sys.exit(print_error(error))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the last resort: no traceback with data ever reaches a user
        sys.exit(print_unexpected(error))
