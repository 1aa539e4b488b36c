"""Attendance: who attended sessions, for how long, and what toxicology screens show.

Owns        per facility: closures; per group: seats and calendar; per session: the roster (who is expected) and the
            roll (who attended, and for how long); per episode: bookings, weekly hours, absences, screens, breath
            tests, mutual support and family sessions; per person: the incentive ledger.
Subscribes  to intake (waiting list, admission, orientation, care team, staff absences, mistakes), plans (plan and its
            reviews, expected analytes, additional services, clinical reviews, level change, transfer, graduation,
            discharge), followup (circumstances).
Publishes   about groups: group-opened, group-filled, group-below-minimum, seat-reserved, seat-released;
            about sessions: session-scheduled, session-rescheduled, session-cancelled, session-cancellation-undone,
              session-attended, session-missed, attendance-corrected, absence-threshold-reached, participation-paused,
              participation-resumed;
            about weeks: weekly-hours-evaluated, weekly-hours-shortfall-detected;
            about screens: screen-ordered, specimen-collected, custody-transferred, screen-not-provided,
              screen-resulted, breath-test-recorded, screen-interpreted, screen-failed;
            about mutual support and incentives: mutual-support-requirement-set, mutual-support-logged,
              family-session-attended, incentive-earned, incentive-reset;
            corrections of mistakes: absence-threshold-undone, screen-order-undone, specimen-undone,
              screen-not-provided-undone, result-undone, breath-test-undone, interpretation-undone,
              mutual-support-undone, family-session-undone, incentive-undone, incentive-reset-undone;
            about open loops: loop-escalated, escalation-cleared, session-loop-escalated, session-escalation-cleared,
              group-loop-escalated, group-escalation-cleared.
HTTP        /groups /closures /sessions /attendance /episodes /screens /breath-tests /mutual-support /family-sessions
            /incentives /staff

Read on in:

`episode/`           the state of an episode (`episode/episode_state.py`, `episode/values.py`), its bookings, weeks and
                     hours, double bookings, absences, pauses, seats, roll entries, mutual support, and what a reward is
                     worth
`groups/`            groups with their seats and calendars, sessions with their rosters and rolls, the facility's
                     closures: records of their own
`screening/`         screens from the order to the interpretation, breath tests, incentives
`laboratory/`        panels, cutoffs and the interpretation of a result
`loop_table.py`      who owns each kind of open loop, and how long each owner has
`circumstances.py`   death, jail, hospital, a move away
`ending.py`          the end of an episode, and an end that is taken back
`event_handlers.py`  rules for other services' events and for deadlines
`reactions.py`       which event, handoff or deadline runs which rule
`settings.py`        the facility's own laboratory table
`api/`               routes and request bodies
"""
