"""One file per command: its first docstring line is its help, ``main(argv) -> int`` runs it."""
