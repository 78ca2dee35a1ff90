"""Judge the devices of one machine in a few seconds, for the programs that watch it."""
