"""The `care` command.

Modules import at their top only what help needs; a command imports the rest when it runs.
"""
