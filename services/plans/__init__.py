"""Plans: the treatment plan, its reviews, changes of level, and when treatment is complete.

Owns        per episode: treatment plan, goals, plan reviews, clinical reviews, medications and the substances that
            they explain in a screen (expected analytes), level changes, transfer, aftercare plan, graduation and
            discharge. Plans also keeps read-only copies of groups and sessions as attendance publishes them.
Subscribes  to intake (assessment, recommendation, placement, admission, orientation, danger, partners' answers, what
            may be disclosed, mistakes, staff absences), attendance (groups, sessions, absences, hours, screens,
            breath tests, mutual support, family), followup (check-ins, outreach, return to use).
Publishes   about the treatment plan: treatment-plan-activated, goal-added, goal-updated, goal-achieved,
              goal-withdrawn, treatment-plan-review-due, treatment-plan-review-overdue, treatment-plan-reviewed,
              expected-analytes-updated, co-occurring-need-identified, ancillary-service-added;
            about clinical reviews: clinical-review-requested, clinical-review-overdue, clinical-review-completed;
            about level changes and transfers: level-of-care-change-recommended, level-of-care-changed,
              transfer-requested, transfer-not-begun, transfer-initiated, transfer-completed, transfer-fell-through;
            about the end of treatment: aftercare-plan-drafted, graduation-approved, program-graduated,
              episode-discharged;
            corrections of mistakes: clinical-review-undone, level-of-care-change-undone, transfer-undone,
              first-contact-undone, graduation-undone, discharge-undone;
            about open loops: loop-escalated, escalation-cleared.
HTTP        /plans /goals /reviews /episodes /groups /tables

Read on in:

`tables.py`               the clinical tables that the rules read: start here to check or change one
`episode_state.py`        the state of an episode and its open loops
`treatment_plan.py`       plans and plan reviews; `goals.py`, `amendments.py`
`additional_services.py`  co-occurring needs, further services, medications
`available_sessions.py`   the groups and sessions that a plan can use
`reviews.py`              clinical reviews, and when each is due; `review_reasons.py`: what requests one
`level_changes.py`        a change of level here; `transfers.py`: a hand-over, which intake has to allow
`aftercare.py`            the aftercare plan, before discharge
`graduation.py`           graduation criteria, graduation and other discharges
`retractions.py`          ends and level changes that were a mistake; `late_facts.py`: facts that arrived after an end
`event_handlers.py`       rules for other services' events that lead to no review
`reactions.py`            which event or deadline runs which rule
`api/`                    routes and request bodies
"""
