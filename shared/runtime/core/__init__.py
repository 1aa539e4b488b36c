"""The core: records, the reactor (load, decide, save), the relay, the store, the reaction table, dead letters."""
