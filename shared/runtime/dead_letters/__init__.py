"""Dead letters for operators: listed, looked at, redriven, discarded, corrected."""
