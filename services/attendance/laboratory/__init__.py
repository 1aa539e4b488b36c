"""What a laboratory result means: panels, cutoffs, interpretation. Knows no episode. Pure rules."""
