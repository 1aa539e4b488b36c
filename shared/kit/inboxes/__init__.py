"""Where a subscriber remembers what it has handled: SQLite, MongoDB, PostgreSQL, or (for tests) nowhere."""
