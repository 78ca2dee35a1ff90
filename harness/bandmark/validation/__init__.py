"""Is a result file sound?

cells looks at how each one is written, rows and run at what they say together, record and samples at the JSON beside
them. validate ties these together; what is wrong is told as bandmark.results.faults.
"""
