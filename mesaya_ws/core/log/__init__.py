"""What an event log is: records, what its followers receive, and the one order in which records are taken."""
