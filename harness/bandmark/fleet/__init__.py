"""Judge the results of many processes: which devices are slow, what differs between them, who is missing."""
