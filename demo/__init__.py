"""The demo: a seeded population walks the whole path, staffed through the services' public HTTP APIs alone.

`population.py` who comes and what happens to them; `paths.py` what staff do about it, day by day; `world.py` the
stepped clock, quiescence and HTTP; `ledger.py` the account at the end, made from other witnesses than the services'
own code; `run.py` all of it together.
"""
