"""The fixed cast: a story for each scenario of docs/domain.md 8 (Scenarios), and two more, told by public HTTP alone.

They are lived beside the sampled population in the demo, so that together every event type occurs, and by themselves in
the flow tests, which say what must have followed. Rates are counted over the sample alone.
"""
