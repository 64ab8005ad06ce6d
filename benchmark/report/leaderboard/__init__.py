"""The leaderboard: methods over many pairs, ranked with their uncertainty, as text and as a page.

`data` holds the numbers of one profile, `statistics` ranks and tests them, `page_data` puts both into the JSON that the
page reads, `documents` makes the files. Importing them takes half a second, for scipy: import them only where a
leaderboard is made.
"""
