"""The state of an episode, and of coming sessions. Pure rules."""
