"""The reactor: load, decide, save, relay. Records, outbox, inbox, store and reaction table."""
