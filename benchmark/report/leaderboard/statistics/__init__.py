"""The leaderboard's statistics: what runs say of methods, and what they cannot tell apart.

Pure functions of finished runs, deterministic and independent of the order of rows. Gains are signed so that
positive is better, also where lower values are.

* `by_pair`: one row a method and pair, with gains on paired seeds and what cannot be told from a pair's best;
* `across`: one row a method, over the pairs that all ranked methods share;
* `rank_test`: whether average ranks differ by more than chance, and which;
* `resolvable`: how large a gap has to be to be seen with that many seeds.

Example::

    cells = by_pair(scores, higher=True, teachers={"wrn-40-2:wrn-16-2": 75.6})
    ranking = across(scores, higher=True, teachers={"wrn-40-2:wrn-16-2": 75.6})
    test = rank_test(ranking)

It imports scipy.stats, which takes half a second: import it where a leaderboard is made, not where a table is rendered.
"""

from benchmark.report.leaderboard.statistics.cells import by_pair
from benchmark.report.leaderboard.statistics.marks import Resolution, resolvable
from benchmark.report.leaderboard.statistics.ranking import Ranking, across
from benchmark.report.leaderboard.statistics.ranktest import RankTest, rank_test

__all__ = ["RankTest", "Ranking", "Resolution", "across", "by_pair", "rank_test", "resolvable"]
