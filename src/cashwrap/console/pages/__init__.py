"""What people see and change, a module for each item of the menu; each lists its routes as ``PAGES``."""
