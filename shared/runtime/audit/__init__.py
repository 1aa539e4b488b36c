"""The audit: who did what. No entry is lost, and nobody can change an entry without a trace."""
