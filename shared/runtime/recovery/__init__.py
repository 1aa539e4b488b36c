"""A store that was lost, or topics that changed: journal, rebuild, migrate."""
