"""What an event log is: records, what its followers are told, and the one order in which records are taken."""
