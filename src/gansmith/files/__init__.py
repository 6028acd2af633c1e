"""What lies on disk: atomic writes, paths, pictures, the run folder, and the markdown and plots of reports."""
