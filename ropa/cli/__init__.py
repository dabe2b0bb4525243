"""The command line: parse, call, print. No logic, no SQL, no HTTP.

Invariant: nothing heavy is imported here or in the modules of the nouns, only inside the functions that need it, so
that ``ropa --help`` stays fast; every error becomes words (what happened, what to do next) and an exit code here
and nowhere else.
"""

from ropa.cli.app import main

__all__ = ["main"]
