"""Attendance: who was there, for how long, and what a screen says.

Owns    sessions and their rosters; groups and their seats; per episode the weekly hours, absences, screens, breath
        tests, mutual support and the family's part; per person the ledger of incentives.
Hears   intake (waiting list, admitted, oriented, care team, who is away, consents, mistakes), plans (plan and its
        reviews, expected analytes, care beside it, clinical reviews, level changed, transfer, graduation, discharge).
Says    of groups: group-opened, group-filled, group-below-minimum, seat-reserved, seat-released; of sessions:
        session-scheduled, session-cancelled, session-attended, session-missed, attendance-corrected,
        absence-threshold-reached, participation-paused, participation-resumed; of weeks: weekly-hours-evaluated,
        weekly-hours-shortfall-detected; of screens: screen-ordered, specimen-collected, custody-transferred,
        screen-not-provided, screen-resulted, breath-test-recorded, screen-interpreted, screen-failed; beside them:
        mutual-support-requirement-set, mutual-support-logged, family-session-attended, incentive-earned,
        incentive-reset; of open loops: loop-escalated, escalation-cleared, session-loop-escalated,
        session-escalation-cleared, group-loop-escalated, group-escalation-cleared.
Asked   /groups /sessions /attendance /episodes /screens /breath-tests /mutual-support /family-sessions /incentives

Read `domain.py` for an episode, `hours.py` and `weeks.py` for the week, `absences.py` for misses and silence,
`pauses.py` for programs that pause who misses too often, `sessions.py` and `rolls.py` for rolls and their
corrections, `groups.py` and `seats.py` for seats. Of screens, `panels.py` has the house's tables and `laboratory.py`
reads the facility's, `interpretation.py` says what a result means, `specimens.py` what is open, and `screens.py` each
step; `breath.py`, `support.py`, `incentives.py` and `ladder.py` stand beside them, and `kept.py` has the values that
these keep. `heard.py` and `reactions.py` say what leads to what, and `api*.py` is HTTP.
"""
