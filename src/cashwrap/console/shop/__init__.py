"""What a playbook, its products and its books come to, as pages tell it."""
