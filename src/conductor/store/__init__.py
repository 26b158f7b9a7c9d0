"""The store: settings, secrets, users, journal and checkpoints in SQLite or PostgreSQL. All of their SQL is here."""
