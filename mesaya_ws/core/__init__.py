"""All rules of the gateway, without I/O, without Trio and without a clock.

Bottom-up: what an event log is (`log`), what goes over the wire (`wire`), and the interface of the state store
(`state`); what clients bring in (`interactions`); what the platform's records mean (`platform`); who may see what
(`access`); how a client comes back (`recovery`); what channels show (`views`); from records to messages (`feed`); one
client (`session`). Imports go that way only.
"""
