"""Recovery of a lost store or a changed topic: the journal, rebuild, migrate."""
