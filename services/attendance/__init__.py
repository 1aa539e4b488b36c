"""Attendance: who was there, for how long, and what a screen says.

Owns    sessions and their rosters; groups and their seats; per episode the weekly hours, absences, screens, breath
        tests, mutual support and the family's part; per person the ledger of incentives.
Hears   intake (waiting list, admitted, oriented, care team, consents, mistakes), plans (plan, expected analytes, care
        beside it, reviews, level changed, transfer, graduation, discharge).
Says    session-scheduled, session-attended, session-missed, weekly-hours-evaluated, weekly-hours-shortfall-detected,
        absence-threshold-reached, screen-ordered … screen-interpreted, and screen-failed, breath-test-recorded,
        mutual-support-logged, family-session-attended, incentive-earned and incentive-reset; of groups, group-opened …
        seat-released.

Read `domain.py` for an episode, `hours.py` and `weeks.py` for the week, `absences.py` for misses and silence,
`sessions.py` and `rolls.py` for rolls and their corrections, `groups.py` and `seats.py` for seats.
Of screens, `panels.py` has the laboratory's tables, `interpretation.py` what a result means, `specimens.py` what is
open, and `screens.py` each step; `breath.py`, `support.py` and `incentives.py` stand beside them. `heard.py` and
`reactions.py` say what leads to what, and `api.py` with its neighbours is HTTP.
"""
