"""The year after discharge: the plan, its appointments, check-ins and risks. Pure rules."""
