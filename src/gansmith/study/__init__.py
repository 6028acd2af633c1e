"""Whether synthetic pictures help a classifier: training with and without them, statistics, the report."""
