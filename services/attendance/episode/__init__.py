"""The episode: weeks and hours, absences, pauses, seats, roll entries, mutual support. Pure rules."""
