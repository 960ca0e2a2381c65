"""`parley move`: a whole database into another one, of the same engine or another, ids and seq unchanged."""
