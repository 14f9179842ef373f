"""The benchmark set: this service and its peers, in turns, under the same load."""
