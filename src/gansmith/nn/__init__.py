"""Layers, losses and penalties that two or more families use."""
