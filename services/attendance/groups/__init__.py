"""Groups and their sessions, each a record of its own. Pure rules."""
