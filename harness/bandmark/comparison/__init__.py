"""Is one set of runs faster than another, and how sure is that?

From files to verdicts: sides (what is compared; foreign: other tools' files) -> pairing and settings (what belongs
together and was measured alike) -> spread and estimate (how large the difference is, and how much of it may be luck)
-> decide (the verdict) -> outcome (typed rows) -> table. compare ties them together.
"""
