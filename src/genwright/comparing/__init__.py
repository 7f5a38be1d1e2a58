"""Families compared on one data set: equal budgets, one judge, one table.

bracket      who is trained for how long: decided before the first training, from what a step costs here
pricing      what it costs, measured once
ledger       what has been done, on the disk: a comparison that was killed goes on from it
executors    where trainings run: in this process, in several, or on the machines of a Ray cluster
judging      what all of them are measured by
leaderboard  the rows of the table, and their order where there is one
comparison   all of this together
"""
