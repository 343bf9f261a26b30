"""Drafts of the playbook: revisions, forms over them, and what there is to say before one goes live."""
