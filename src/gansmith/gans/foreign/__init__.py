"""Networks that other packages build: models of them are used like our own, and trained by nobody here."""
