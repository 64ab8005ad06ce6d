"""Regenerates the tables of a knowledge-distillation paper from runs that it trains itself."""
