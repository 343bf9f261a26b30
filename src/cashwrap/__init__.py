"""cashwrap: a self-hosted checkout personalization engine."""
