"""What a run is: its job, objective and recipe, and the record and files that it leaves."""
