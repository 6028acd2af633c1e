"""Measuring training: how fast, how much memory, how near to what the machine can do."""
