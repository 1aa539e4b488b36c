"""Intake: the way into care, from a referral to the first day, and referrals on to a partner.

Owns        per episode: referral, assessment, recommendation, placement, admission, orientation, care team, and
            onward referrals to partners; per person: the identity (encrypted, in a record of its own about which no
            event is published), consents and disclosures; per outside organization: its kind, and the agreements with
            it; per group or track: the waiting list; per member of staff: absences and assignments; per partner: its
            capacity.
Subscribes  to attendance (groups and seats), plans (another level recommended or reached, transfers, discharges, and
            undone discharges), followup (re-engagement, requested readmission, return to use, circumstances).
Publishes   on the path to admission: referral-received, referral-acknowledged, referral-declined,
              assessment-scheduled, assessment-completed, imminent-danger-identified, level-recommended,
              eligibility-determined, placement-decided, waitlist-joined, waitlist-offered, waitlist-left,
              patient-admitted, orientation-completed;
            about partners: partner-registered, partner-agreement-recorded, partner-agreement-ended, referral-sent,
              partner-referral-accepted, partner-referral-rejected, referral-loop-overdue, referral-loop-closed;
            about a person: consent-granted, consent-revoked, consent-expired, disclosure-allowed,
              disclosure-withheld, disclosure-recorded, emergency-disclosure-made;
            about staff: care-team-assigned, care-team-role-vacated, staff-absence-planned, staff-absence-ended;
            corrections of mistakes: episode-entered-in-error, episode-entered-in-error-undone,
              episode-person-corrected, referral-merged, referral-merged-undone, admission-undone, disclosure-undone,
              consent-undone, consent-revocation-undone, consent-expiry-undone;
            about open loops: loop-escalated, escalation-cleared.
HTTP        /referrals /assessments /placements /episodes /outbound-referrals /waitlist /groups /tracks /partners
            /consents /disclosures /people /staff

Read on in:

`episode/`      the state of an episode and its open loops (`episode/episode_state.py`, `episode/values.py`), then the
                path step by step: inbound referrals, assessments, levels of care and eligibility, admissions, the
                episode's place on a waiting list, outbound referrals, what is on its way to somebody outside, rules
                for other services' events, and circumstances because of which nobody calls the person
`person/`       identity, consents, whether something may be disclosed (`person/may_disclose.py`), disclosures asked for
                and recorded, and their accounting; consents that were a mistake; the one open episode in each
                program; what goes on when a discharge is undone (`person/reopening.py`)
`resources/`    the order of a waiting list, care teams and absences, partners, and what these can take
`mistakes.py`   what was entered in error, and how it is taken back
`loop_table.py` who owns each kind of open loop, and how long each owner has
`handoffs.py`   the work that one record leaves for another
`reactions.py`  which event, handoff or deadline runs which rule
`rules/`        the level-of-care table that ships with the project
`settings.py`   what a facility can configure
`api/`          routes and request bodies
"""
