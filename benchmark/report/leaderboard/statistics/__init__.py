"""The statistics of the leaderboard: means, gains, ranks, intervals and tests.

Pure functions of finished runs, deterministic and independent of the order of rows. Gains are signed so that positive
is better for every metric.

* `by_pair`: one row for each method and pair, with gains on paired seeds and marks;
* `across`: one row for each method, on the pairs that all ranked methods have;
* `rank_test`: tests of average ranks, and of the gains over KD;
* `resolvable`: the gap to a pair's best that is significant with that many seeds.

Example::

    cells = by_pair(scores, higher=True, teachers={"wrn-40-2:wrn-16-2": 75.6})
    ranking = across(scores, higher=True, teachers={"wrn-40-2:wrn-16-2": 75.6})
    test = rank_test(ranking)

It imports scipy.stats, which takes half a second: import it only where a leaderboard is made.
"""

from benchmark.report.leaderboard.statistics.cells import by_pair
from benchmark.report.leaderboard.statistics.marks import Resolution, resolvable
from benchmark.report.leaderboard.statistics.ranking import Ranking, across
from benchmark.report.leaderboard.statistics.ranktest import RankTest, rank_test

__all__ = ["RankTest", "Ranking", "Resolution", "across", "by_pair", "rank_test", "resolvable"]
