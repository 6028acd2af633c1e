"""Networks that other packages build: models of them are used like gansmith's own, and cannot be trained here."""
