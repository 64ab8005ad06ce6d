"""Tables to jobs to cohorts: what is missing, what it costs, and what fits into a time."""
