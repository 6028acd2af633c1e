"""One run: settings, the loop, what happens after each step, checkpoints, progress on the screen, trackers."""
