"""What people see of a model: card, terminal, page, plots and files, each made of a ``Training`` alone."""

from cashwrap.learning.render.card import card
from cashwrap.learning.render.exports import plots_to, to_json
from cashwrap.learning.render.page import page
from cashwrap.learning.render.terminal import terminal

__all__ = ["card", "page", "plots_to", "terminal", "to_json"]
