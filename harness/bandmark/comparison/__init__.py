"""Compare sets of runs case by case: is one faster than the other, and how sure is that?

Files become verdicts in this order: sides (what is compared; foreign and foreign_json read other tools' files), pairing
(which cases belong together, and whether they were measured alike), statistics (how large the change is, and how much
of it differences between runs explain), verdict, compare (typed results), table.
"""
