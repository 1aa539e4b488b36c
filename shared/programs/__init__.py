"""Programs as data: what a facility promises and asks, in a file that people can read and a computer can check.

`profile.py`  what a program may say of itself, and the terms that travel with an admission.  `parts.py` its parts.
`read.py`     from TOML to a profile, with the line of everything that is wrong.
`profiles/`   the profiles that ship.
"""
