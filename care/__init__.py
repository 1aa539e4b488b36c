"""The `care` command.

At their top, modules import only what `--help` needs. A command imports the rest when it runs.
"""
