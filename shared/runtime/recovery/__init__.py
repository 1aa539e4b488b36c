"""Recovery: the sweep after a crash, the journal, the rebuild of a lost store, and the migration of a topic."""
