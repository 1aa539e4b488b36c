"""The bench: how fast a service is, beside the least that has to be done and beside what others would use.

    python -m bench            all contestants, the picture and the page (about a quarter of an hour)
    python -m bench --quick    floor, ours and naive only; compares ratios with the committed ones

`recording.py` makes the input once from a seed, with the published event classes. `handwork.py` is what has to be
decided, written by hand on plain dictionaries: floor, naive and the peers do exactly that. Ours is the real service
process. Every run is checked: each contestant must have published exactly the events that the rules ask for.
"""
