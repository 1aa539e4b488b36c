"""The episode: from the referral to the first day, and referrals on to a partner. Pure rules."""
