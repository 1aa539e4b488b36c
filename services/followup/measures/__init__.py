"""Timely-visit measures in the manner of HEDIS, and the transitions that start their clocks. Pure rules."""
