"""Intake: the way in, from a referral to the first day, and the way on to a partner.

Owns    per episode the referral, assessment, recommendation, placement, admission, orientation, care team and the
        referrals sent out; per person the consents, the disclosures and, in a record that says nothing, the identity;
        per group or track the line of who waits; per member of staff absences and what they hold; what partners take.
Hears   attendance (groups, and who has a seat), plans (another level recommended or reached, discharged), followup
        (re-engagement, readmission requested, return to use).
Says    of the way in: referral-received, referral-acknowledged, referral-declined, assessment-scheduled,
        assessment-completed, imminent-danger-identified, level-recommended, eligibility-determined, placement-decided,
        waitlist-joined, waitlist-offered, waitlist-left, patient-admitted, orientation-completed; of partners:
        referral-sent, partner-referral-accepted, partner-referral-rejected, referral-loop-overdue,
        referral-loop-closed; of a person: consent-granted, consent-revoked, consent-expired, disclosure-recorded,
        emergency-disclosure-made; of staff: care-team-assigned, staff-absence-planned, staff-absence-ended; of
        mistakes: episode-entered-in-error, episode-person-corrected, referral-merged, admission-undone; of open loops:
        loop-escalated, escalation-cleared.
Asked   /referrals /assessments /placements /episodes /outbound-referrals /waitlist /groups /tracks /partners /consents
        /disclosures /people /staff

Read `steps.py` and `domain.py` for the episode and its open loops; `inbound.py`, `assessments.py` and `admissions.py`
for the path; `levels.py` and `rules/demo.toml` for how a level is found, `eligibility.py` for whom a program suits;
`lines.py` and `waitlist.py` for waiting; `consents.py` and `referrals.py` for what may go out; `capacity.py` for what
partners take; `people.py`, `identity.py`, `audit.py`, `disclosures.py`, `mistakes.py` and `staff.py` for people;
`heard.py` for what others say, `handoffs.py` for what one record leaves another, `reactions*.py` for what leads to
what, `settings.py` for what can be set, `api*.py` for HTTP.
"""
