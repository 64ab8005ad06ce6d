"""Sentences of the paper as comparisons of cells, and what runs say of them."""
