"""The catalogue of inputs, good and bad: what the program makes of each kind of file.

One module per kind lists its `CASES`; all are variations of one small made-up cohort (`cohort`).
`running` gives a case to the command line, `page` makes the book's page by running all of them.
"""
