"""Intake: the way in, from a referral to the first day, and the way on to a partner.

Owns    per episode the referral, assessment, recommendation, placement, admission, orientation and the referrals sent
        out; per person the consents.
Hears   plans (discharged), followup (readmission requested, re-engagement completed, return to use).
Says    referral-received …, assessment-completed, level-recommended, eligibility-determined, patient-admitted,
        orientation-completed, referral-sent … referral-loop-closed, consent-granted … consent-expired.

Read `domain.py` for the episode and its open loops, `assessments.py` and `admissions.py` for the path, `levels.py`
for how a level is found, `consents.py` and `referrals.py` for what may go out, `heard.py` for what others say,
`reactions.py` for what leads to what, `api.py` and `api_consents.py` for HTTP.
"""
