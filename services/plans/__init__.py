"""Plans: what is to be done for a person, by when, and when it is enough.

Owns    treatment plan, goals, plan reviews, clinical reviews, level changes, graduation, discharge.
Hears   intake (recommended, admitted), attendance (attended, absences, hours, screen-failed), followup (outreach,
        return to use, risks at a check-in).
Says    treatment-plan-activated, treatment-plan-review-due …, clinical-review-requested …, program-graduated,
        episode-discharged, aftercare-plan-drafted.

Read `domain.py` for the plan's own path, `reviews.py` for clinical reviews, `reactions.py` for what leads to what,
`api.py` for HTTP.
"""
