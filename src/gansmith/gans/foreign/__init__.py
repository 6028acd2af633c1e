"""Models that are used like the others and cannot be trained here: networks that other packages build, and classical methods."""
