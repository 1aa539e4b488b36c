"""Reaching out to people who stay away, and the way back after a return to use. Pure rules."""
