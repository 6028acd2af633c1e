"""Layers, losses and augmentation that two or more families use."""
