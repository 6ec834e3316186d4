"""How the window comes up and goes away: which view, its server, a second start, the way it ends."""
