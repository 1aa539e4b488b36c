"""Outlet: passes on to each restricted subscriber what it may read, on a topic of its own.

Owns        per subject: how far each outlet has come with each source. Which outlets there are, and what each was made
            for.
Subscribes  everything that the services publish; what no restricted subscriber may read is left where it lies.
Publishes   nothing of its own: on `care.out.<team>`, the events that the team may read, as they came.
HTTP        the history of a subject, for the team whose outlet has it

Read on in:

`planning.py`   who may read what, and when a topic is followed by the next
`streams.py`    how an event is passed on and counted, and how a topic ends
`history.py`    a page of what a team got about a subject, and `api.py` the route
`reactions.py`  every event runs the one rule; which outlets it goes to
"""
