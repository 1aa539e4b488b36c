"""The vault: a key per person in a separate database, and the code that seals and finds identifying data with it."""
