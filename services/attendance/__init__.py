"""Attendance: who was there, for how long, and what a screen says.

Owns    sessions and their rosters; per episode the weekly hours, absences and screens.
Hears   intake (admitted), plans (expected analytes, level changed, discharged).
Says    session-scheduled, session-attended, session-missed, weekly-hours-evaluated, weekly-hours-shortfall-detected,
        absence-threshold-reached, screen-ordered … screen-interpreted, and screen-failed.

Read `domain.py` for an episode, `hours.py` for the week, `sessions.py` for rolls, `screens.py` for screens;
`reactions.py` for what leads to what, and `api.py` for HTTP.
"""
