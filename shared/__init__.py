"""What every service shares: the published language, decisions, and the runtime that makes both reliable.

`contracts/`  events: the only thing that services know of one another.
`decision.py` what a service's rules are made of: state, cause, decision.  `errors.py` the tree of errors.
`runtime/`    all I/O: reactor, relay, timers, store, HTTP.
`testing/`    backends, fakes and suites.
"""
