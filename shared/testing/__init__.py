"""What tests share: in-memory fakes, and suites of tests that fakes and real servers both have to pass."""
