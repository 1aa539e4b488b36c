"""Plans: what is to be done for a person, by when, and when it is enough.

Owns    per episode the treatment plan, goals, plan reviews, clinical reviews, medications and expected analytes, level
        changes, transfer, aftercare plan, graduation and discharge. Of groups and sessions it keeps what attendance
        says, of a person what they allowed.
Hears   intake (assessed, recommended, placed, admitted, oriented, danger, partners' answers, consents, mistakes, who is
        on duty), attendance (groups, sessions, absences, hours, screens, breath tests, support, family), followup
        (check-ins, outreach, return to use).
Says    of the plan: treatment-plan-activated, goal-added, goal-updated, goal-achieved, treatment-plan-review-due,
        treatment-plan-review-overdue, treatment-plan-reviewed, expected-analytes-updated, co-occurring-need-identified,
        ancillary-service-added; of reviews: clinical-review-requested, clinical-review-overdue,
        clinical-review-completed; of moves: level-of-care-change-recommended, level-of-care-changed,
        transfer-initiated, transfer-completed; of the end: aftercare-plan-drafted, graduation-approved,
        program-graduated, episode-discharged; of open loops: loop-escalated, escalation-cleared.
Asked   /plans /goals /reviews /episodes /groups /tables

Read `tables.py` for what a clinician may want to check or change, `domain.py` for what is kept and waited for, then
`treatment.py` (plan and plan reviews), `amendments.py`, `goals.py`, `care.py` (what goes with the plan), `offer.py`
(what there is to plan with), `reviews.py` (clinical reviews), `changes.py` (level and transfer) and `consents.py`
(what a hand-over needs), `aftercare.py`, `endings.py` (criteria, graduation, discharge), `heard.py` (admission,
sessions, mistakes), `reactions.py` for what leads to what, `api*.py` for HTTP.
"""
