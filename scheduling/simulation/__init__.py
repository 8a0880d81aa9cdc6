"""The real controller on a simulated clock, executor and bus: traces replayed, policies
compared, and the decisions proved over thousands of drawn worlds.

It fires, reads, plans and applies through `agent_scheduler.step`, which is what
`run_scheduler` does; only time, programs and messages are made up.
"""
