"""From a number back to what it rests on: stored records, chains of jobs, and records as a DataFrame."""
