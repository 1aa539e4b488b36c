"""The bench: how fast a service is, beside the least that has to be done and beside the naive way.

    python -m bench            floor, ours and naive; writes the results and the page (about five minutes)
    python -m bench --quick    the same, shorter; fails when a ratio has fallen below the committed one
    python -m bench.study      the studies: other frameworks, three services in a row, a rebuild
    python -m bench.study.growth    how ours grows

`recording.py` makes the input once from a seed, with the published event classes. `handwork.py` is what has to be
decided, written by hand on plain dictionaries: floor, naive and the study's peers do exactly that. Ours is the real
service process. Every run is checked: each contestant must have published exactly the events that the rules ask for.
"""
