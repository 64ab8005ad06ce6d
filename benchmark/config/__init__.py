"""Recipes, profiles and presets as YAML, and how they override each other."""
