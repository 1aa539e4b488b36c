"""Outlet: copies to each restricted subscriber the events that it may read, on a separate topic for that subscriber.

Owns        per subject: how far each outlet has progressed with each source. Also the list of
            outlets, with the facilities, types and sensitivity that each was made for.
Subscribes  everything that the services publish; it does not copy what no restricted subscriber may read.
Publishes   no events of its own: on `care.out.<team>`, unchanged copies of the events that the team may read.
HTTP        the history of a subject, for the team whose outlet has it

Read on in:

`planning.py`   who may read what, and when a topic is followed by the next
`streams.py`    how outlet copies and numbers an event, and how a topic ends
`history.py`    a page of what a team got about a subject; `api.py` is the route
`reactions.py`  the one rule that every event runs, and the outlets that receive the event
"""
