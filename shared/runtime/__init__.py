"""What makes a service reliable and fast, once for all of them. All I/O is here.

Read in this order: `record.py` (the pure fold), `reactor.py` (load, decide, save, relay), `consumer.py` and
`relay.py` (Kafka in and out), `timers.py`, `store.py` (MongoDB), `http.py`, and `service.py`, which puts one
service together from its parts.
"""
