"""Faults under load, each one function with a count: the tests run few rounds of it, the proof many.

Every scenario starts a real server in `folder`, breaks it `rounds` times, and returns what the checker counted. It
raises `Breach` at the first broken promise. The same seed gives the same plan, though not the same interleaving.
"""
