"""Proof by force: the reactor in a simulated world, the whole stack under kills and cuts, an independent ledger."""
