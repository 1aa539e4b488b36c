"""Plans: what is to be done for a person, by when, and when it is enough.

Owns    treatment plan, goals, plan reviews, clinical reviews, level changes, transfer, aftercare plan, graduation,
        discharge.
Hears   intake (assessed, recommended, placed, admitted, oriented, partners' answers, consents, mistakes, who is on
        duty), attendance (sessions, absences, hours, screens, support), followup (outreach, return to use, risks at a
        check-in).
Says    treatment-plan-activated, goal-achieved …, clinical-review-requested …, level-of-care-changed,
        transfer-completed, program-graduated, episode-discharged, aftercare-plan-drafted.

Read `tables.py` for what a clinician may want to check or change, `domain.py` for what is kept and waited for, then
`treatment.py` (plan and plan reviews), `goals.py`, `care.py` (what goes with the plan), `reviews.py` (clinical
reviews), `changes.py` (level and transfer), `aftercare.py`, `endings.py` (criteria, graduation, discharge), `heard.py`
(admission, sessions, mistakes), `reactions.py` for what leads to what, `api.py` and `api_changes.py` for HTTP.
"""
