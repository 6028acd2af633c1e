"""Labelled synthetic pictures made by a GAN for somebody's data set."""
