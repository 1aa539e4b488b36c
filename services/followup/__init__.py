"""Followup: nobody who stays away, or who has left, is forgotten.

Owns    outreach, from a referral that was turned away to the end of aftercare; after discharge the aftercare plan, its
        first appointment and its check-ins, risks that come up, return to use and re-engagement; and that whoever was
        assessed, or came out of an emergency department or a bed, is seen in time.
Hears   intake (the way to the admission, partners, consents, care teams, who is away, mistakes), plans (plan, goals,
        reviews, levels, transfer, graduation, discharge), attendance (sessions, corrections, absences, hours, screens).
Says    of reaching out: outreach-escalated, contact-lost; of aftercare: aftercare-plan-activated,
        aftercare-plan-agreed, check-in-scheduled, check-in-attempted, check-in-completed, check-in-missed,
        aftercare-completed; of the way back: return-to-use-reported, reengagement-started, reengagement-completed,
        readmission-requested; of where people come from: transition-reported; of open loops: loop-escalated,
        escalation-cleared.
Asked   /episodes /journeys /aftercare-plans /checkins /risk-responses /return-to-use /reengagements /transitions
        /measures /sessions

Read `domain.py` for the state, contact and silence, `outreach.py` for reaching out, `aftercare.py` for the year after
discharge (`cadence.py` for its calendar, `checkins.py`, `appointments.py`, `risks.py`), `reengagement.py` for the way
back, `measures.py` and `transitions.py` for the clocks, `heard.py` and `journey.py` for the episode's way as a whole,
`sessions.py` for what somebody is expected at, `mistakes.py` and `consents.py` for what is taken back and what may be
told; `watch.py` for what is true after every decision, `reactions.py` for what leads to what, and `api*.py` for HTTP.
"""
