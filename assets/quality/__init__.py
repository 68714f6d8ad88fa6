"""Quality: the one place that drives Great Expectations and turns suites into blocking asset checks."""
