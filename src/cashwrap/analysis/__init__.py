"""What experiments found: from facts to units, from units to statistics, from statistics to a report.

Needs the extra ``cashwrap[analysis]``; nothing that collects or decides imports this room.
"""
