"""The code that makes every service reliable and fast, written once for all of them. All I/O is here.

Read in this order: `core/record.py` (the pure fold) with `core/work.py` (its input and output), `core/reactor.py`
(load, decide, save, relay), `kafka/consumer.py` (Kafka in; `kafka/offset_commits.py` commits), `core/relay.py` (Kafka
out), `timers.py` (deadlines), `core/store.py` (MongoDB), `http/call.py` (commands and queries), and `service.py`, which
puts one service together from its parts.
"""
