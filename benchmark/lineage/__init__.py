"""From a number back to what it rests on: cells and runs by name, records without their jobs, chains of jobs."""
