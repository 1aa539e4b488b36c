"""What tests, the demo and `care up` share: backends to run on, suites and fakes."""
