"""The published contract, generated from the event classes, and the gate that keeps it. Pure but for three modules.

`schemas`, `examples`, `asyncapi`, `vocabulary`: what is published. `subscribers`: who reads it. `contract`: the whole
contract as one value. `differ`: what a change would do to its readers. `releases`: what was released and what may
follow. `files`: the working tree, which needs PyYAML; only the command line and the tests import it.
"""
