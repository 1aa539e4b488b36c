"""The person: identity, consents, and who saw or was told what. Pure rules."""
