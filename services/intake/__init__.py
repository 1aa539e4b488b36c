"""Intake: the way in, from a referral to the first day, and the way on to a partner.

Owns    per episode the referral, assessment, recommendation, placement, admission, orientation and the referrals sent
        out; per person the consents, the disclosures and, in a record that says nothing, the identity; per member of
        staff absences and what they hold.
Hears   plans (another level recommended or reached, discharged), followup (re-engagement, readmission requested, return
        to use), attendance (groups, and who has a seat).
Says    referral-received …, assessment-completed, level-recommended, eligibility-determined, patient-admitted,
        orientation-completed, referral-sent … referral-loop-closed, consent-granted … consent-expired,
        disclosure-recorded, emergency-disclosure-made, episode-entered-in-error … admission-undone, care-team-assigned,
        staff-absence-planned, staff-absence-ended.

Read `domain.py` for the episode and its open loops; `inbound.py`, `assessments.py` and `admissions.py` for the path;
`levels.py` and `rules/demo.toml` for how a level is found, `eligibility.py` for whom a program suits; `lines.py` and
`waitlist.py` for waiting; `consents.py` and `referrals.py` for what may go out; `capacity.py` for what partners take;
`people.py`, `identity.py`, `audit.py`, `disclosures.py`, `mistakes.py` and `staff.py` for people; `heard.py` for what
others say, `reactions.py` for what leads to what, `api*.py` for HTTP.
"""
