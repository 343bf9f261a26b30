"""What to put beside a cart: sources of candidates, their blend, and the arrays they read. Pure; needs numpy alone."""
