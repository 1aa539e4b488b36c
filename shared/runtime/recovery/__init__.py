"""Recovery: the sweep after a crash, the journal, rebuild of a lost store, migration of a topic."""
