"""The leaderboard: methods over many pairs, ranked with their uncertainty, as text and as a page.

`board` holds the numbers of one scale, `standing` their statistics, `page_data` both in the form that the page reads,
`documents` the files. They take half a second to import, for scipy: import them where a leaderboard is made, not where
a table is rendered.
"""
