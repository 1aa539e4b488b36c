"""Reaching out to whoever stays away, and the way back after a return to use. Pure rules."""
