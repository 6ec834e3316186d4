"""How the window comes up and goes away: which view, its server, its client program, the way it ends."""
