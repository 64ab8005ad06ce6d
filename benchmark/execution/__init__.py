"""Where cohorts run: processes of this machine."""
