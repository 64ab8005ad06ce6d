"""The cohort loop: one stream of batches, one teacher, many students."""
