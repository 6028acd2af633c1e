"""Labelled synthetic pictures from a class-conditional GAN, and the study that says whether they help a classifier."""
