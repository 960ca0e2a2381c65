"""The vocabulary of the log: pure types, no I/O, no framework, no SQL."""
