"""The indexer: reads the journal after its cursor, normalizes, and inserts artifacts, each exactly once."""
