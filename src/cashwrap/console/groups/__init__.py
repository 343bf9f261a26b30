"""Figures about groups of shoppers, told so that no single one can be found."""
