"""Dead letters for operators: list, show, preview, redrive, discard and edit them."""
