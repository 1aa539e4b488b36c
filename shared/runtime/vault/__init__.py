"""The vault: a key per person, in a database of its own, and what is sealed and found with it."""
