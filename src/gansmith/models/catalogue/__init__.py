"""Well-known public models by name: what they are, under which licence, where they lie, and the ones that are here."""
