"""The state of an episode, of a person's consents and of coming sessions. Pure rules."""
