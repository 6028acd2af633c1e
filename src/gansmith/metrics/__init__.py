"""Scores of pictures, each named with the features it was measured on; and memorisation."""
