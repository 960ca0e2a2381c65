"""The truth: every acknowledged entry, every account, in one SQL database."""
