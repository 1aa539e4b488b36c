"""Toxicology screens, breath tests and the rewards that follow from them. Pure rules."""
