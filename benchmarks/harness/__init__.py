"""What every measurement shares: workloads, rounds, the record and its tables and pictures."""
