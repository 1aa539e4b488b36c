"""What an episode needs of the facility and its partners: places, staff, partner capacity. Pure rules."""
