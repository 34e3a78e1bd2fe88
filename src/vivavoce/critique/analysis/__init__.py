"""From a study's rows to effects with intervals, tests, agreement, power and a one-file report."""
