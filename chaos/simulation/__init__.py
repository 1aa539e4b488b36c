"""The real reactor, relay, consumer and timers on a simulated broker, store and clock: one seed, one history.

`python -m chaos.simulation --seeds 0:1000` plays a thousand of them; a failure is printed as its seed, and the same
seed plays the same history again.
"""
