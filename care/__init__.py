"""The `care` command: start services, watch events, read contracts, run the demo."""
