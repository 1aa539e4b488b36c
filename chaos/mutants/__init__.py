"""Guards of the runtime, each taken out of its source in turn: one that no test misses is a gap in the tests."""
