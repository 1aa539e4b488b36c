"""Dead letters for operators: list, show, preview, redrive and discard them."""
