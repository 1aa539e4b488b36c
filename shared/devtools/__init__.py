"""What development commands and tests run on: backends, the stack of services, a local token issuer."""
