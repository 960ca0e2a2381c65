"""`parley bench`: what this machine does with this server, as multiples of what the machine itself costs.

A measure is in a file of its own (`fanout_cost`, `fanout_capacity`, `ingest`, `latency`, `idle`); `floors` measures
what the same work costs without a chat server; `crowd` is the load generator; `report` shows the ratios.
"""
