"""Conditions over sensors, runs, agents, nodes and time that fire schedules."""
