"""``python -m ropa`` does what ``ropa`` does, where no script was installed."""

from ropa.cli import main

main()
