"""How the cost grows: with the examples, the units and the networks, and with the processes."""
