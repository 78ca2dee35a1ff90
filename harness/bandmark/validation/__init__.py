"""Check result files.

cells checks how each cell is written, record the form of the JSON. replay rebuilds the rows from the record and
compares; plausibility looks for what no honest run shows. validate ties these together.
"""
