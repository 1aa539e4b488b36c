"""What the subscriber kit itself takes of a processor for an event: `python -m bench.kit`.

Messages are in memory and the handlers do nothing, so that what remains is the kit's own time: reading the envelope,
the place in the stream, and the inbox. Batches have 500 messages. `docs/subscribing.md` shows the figures.
"""
