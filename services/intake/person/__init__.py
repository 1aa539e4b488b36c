"""The person: identity, consents, and who saw what, and what was disclosed to whom. Pure rules."""
