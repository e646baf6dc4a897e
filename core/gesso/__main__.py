"""`python -m gesso` is the command `gesso`."""

from gesso.cli.main import main

main()
