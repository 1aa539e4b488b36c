"""Outlet: copies to each restricted subscriber the events that it may read, on a separate topic for that subscriber.

Owns        per subject: how far each outlet has progressed with each source. Also the list of
            outlets, with the facilities, types and sensitivity that each was made for.
Subscribes  to everything that the services publish. It copies only what at least one restricted subscriber may read.
Publishes   no events of its own: on `care.out.<team>`, unchanged copies of the events that the team may read.
HTTP        /history: what a team received about a subject

Read on in:

`planning.py`   who may read what, and when a new topic replaces the team's current one
`streams.py`    how outlet copies and numbers an event, and how a topic ends
`history.py`    the events that a team received about a subject, page by page; `api.py` has the route
`reactions.py`  the one rule for every event, and which outlets receive it
"""
