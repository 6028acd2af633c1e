"""How well a run is: what is measured, what the coach says about it, and the report."""
