"""Followup: nobody who stays away, or who has left, is forgotten.

Owns    outreach during the program; after discharge the aftercare plan, its eight check-ins, return to use and
        re-engagement.
Hears   intake (admitted, outbound referrals), plans (aftercare plan, reviews, graduated, discharged), attendance
        (attended, missed, absences, screen-failed).
Says    outreach-escalated, contact-lost, aftercare-plan-activated, check-in-scheduled … check-in-missed,
        aftercare-completed, return-to-use-reported, reengagement-started …, readmission-requested.

Read `domain.py` for contact and outreach, `aftercare.py` for the year after discharge (`cadence.py` for its
calendar, `risks.py` for risks to life), `reengagement.py` for the way back, `reactions.py` for what leads to what,
`api.py` for HTTP.
"""
