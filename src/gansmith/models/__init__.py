"""Trained models as folders: save, load, find on this disk or on the Hub, and the model card."""
