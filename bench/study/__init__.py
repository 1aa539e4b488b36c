"""The studies: what is measured beside the guard, by hand, and not in every run of CI.

    python -m bench.study            other frameworks, three services in a row, a rebuild (about a quarter of an hour)
    python -m bench.study --only chain rebuild
    python -m bench.study.growth     how ours grows with replicas, partitions, people and the size of a state

Results stand in `bench/study/results.json` and `bench/study/growth.json`; `docs/performance.md` shows them.
"""
