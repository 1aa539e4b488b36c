"""Followup: outreach to people who stay away or have left, and a year of aftercare.

Owns        per episode: outreach, from a declined referral to the end of aftercare; after discharge, the aftercare
            plan with its first appointment and its check-ins, the risks, return to use and re-engagement; and the
            date by which the person must be seen, for the timely-visit measures.
Subscribes  to intake (the path to admission, partners, care teams, staff absences, mistakes), plans (plan, goals,
            reviews, levels, transfer, graduation, discharge), attendance (sessions, corrections, absences, hours,
            screens).
Publishes   about outreach: outreach-escalated, contact-lost;
            about aftercare: aftercare-plan-activated, aftercare-plan-agreed, check-in-scheduled, check-in-attempted,
              check-in-attempt-undone, check-in-completed, check-in-undone, check-in-missed, aftercare-completed;
            about a way back into treatment: return-to-use-reported, return-to-use-undone, reengagement-started,
              reengagement-completed, readmission-requested;
            about transitions: transition-reported, transition-undone;
            about circumstances: circumstance-recorded, circumstance-ended, circumstance-undone;
            about open loops: loop-escalated, escalation-cleared.
HTTP        /episodes /journeys /aftercare-plans /checkins /risk-responses /return-to-use /reengagements /transitions
            /circumstances /measures /outreach /sessions

Read on in:

`episode/`           the state of an episode, when the person was last in contact (`episode/contact.py`), the
                     calendar of check-ins, upcoming sessions
`outreach/`          outreach, tier by tier; return to use and re-engagement; who is out of jail (`outreach/jail.py`)
`aftercare/`         the aftercare plan, appointments, check-ins and the risks that come up in them, a readmission
`measures/`          the timely-visit measures (IET, FUA, FUI), and the transitions from which their time limits
                     run
`loop_table.py`      who owns each kind of open loop, and how long each owner has
`journey.py`         where an episode is on its path, what comes next, and who owns that
`event_handlers.py`  rules for other services' events along that path
`circumstances.py`   death, jail, hospital, a move away: nobody calls the person
`going_on.py`        what goes on when a discharge or a graduation is undone
`mistakes.py`        what was entered in error, and how it is taken back
`invariants.py`      what holds after every decision, whatever led to it
`reactions.py`       which event, handoff or deadline runs which rule
`api/`               routes and request bodies
"""
