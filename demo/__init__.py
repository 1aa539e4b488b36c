"""The demo: a seeded population walks the whole path, staffed through the services' public HTTP APIs alone.

`population.py` who comes and what happens to them; `paths.py`, `groups.py` and `aftercare.py` what staff do about it,
at the hours of `hours.py`; `world.py` the
stepped clock, quiescence and HTTP; `ledger.py` the account at the end, made from other witnesses than the services'
own code; `run.py` all of it together.
"""
