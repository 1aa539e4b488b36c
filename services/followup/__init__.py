"""Followup: outreach to people who stay away or have left, and a year of aftercare.

Owns        per episode: outreach, from a declined referral to the end of aftercare; after discharge the aftercare plan,
            its first appointment and its check-ins, risks, return to use and re-engagement; and, for the timely-visit
            measures, by when a person must be seen.
Subscribes  intake (the path to admission, partners, care teams, staff absences, mistakes), plans (plan,
            goals, reviews, levels, transfer, graduation, discharge), attendance (sessions, corrections, absences,
            hours, screens).
Publishes   outreach: outreach-escalated, contact-lost; aftercare: aftercare-plan-activated, aftercare-plan-agreed,
            check-in-scheduled, check-in-attempted, check-in-attempt-undone, check-in-completed, check-in-undone,
            check-in-missed, aftercare-completed; the way back: return-to-use-reported, return-to-use-undone,
            reengagement-started, reengagement-completed, readmission-requested; where people come from:
            transition-reported, transition-undone; reasons not to call: circumstance-recorded, circumstance-ended,
            circumstance-undone; open loops: loop-escalated, escalation-cleared.
HTTP        /episodes /journeys /aftercare-plans /checkins /risk-responses /return-to-use /reengagements /transitions
            /circumstances /measures /outreach /sessions

Read on in:

`episode/`           the state of an episode, contact and silence (`episode/contact.py`), the check-in calendar,
                     upcoming sessions
`outreach/`          outreach, tier by tier; return to use and re-engagement; who is out of jail (`outreach/jail.py`)
`aftercare/`         the aftercare plan, appointments, check-ins and the risks that come up in them, a readmission
`measures/`          timely-visit measures (IET, FUA, FUI) and the transitions that start their clocks
`loop_table.py`      who owns each kind of open loop, and how long each owner has
`journey.py`         where an episode is on its path, what comes next, and who owns that
`event_handlers.py`  rules for other services' events along that path
`circumstances.py`   death, jail, hospital, a move away: nobody calls the person
`going_on.py`        an end that is taken back: the program goes on
`mistakes.py`        what was entered in error, and how it is taken back
`invariants.py`      what holds after every decision, whatever led to it
`reactions.py`       which event, handoff or deadline runs which rule
`api/`               routes and request bodies
"""
