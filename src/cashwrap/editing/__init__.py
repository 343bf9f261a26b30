"""A playbook's texts changed as people change them: entry by entry, by forms and by rows. Pure."""
