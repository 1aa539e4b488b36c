"""The audit: who did what, kept so that nothing of it is lost and nothing can be changed without a trace."""
