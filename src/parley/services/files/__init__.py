"""Files: uploads that never start over, what becomes of them, and who may read it."""
