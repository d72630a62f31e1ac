"""What the device allows: bounds, what libraries reach of it, memory."""
