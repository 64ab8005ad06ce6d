"""The command: its arguments, one module a subcommand, and what they print."""
