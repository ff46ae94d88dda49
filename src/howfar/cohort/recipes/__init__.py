"""Whole cohorts: from published files to a study that is ready to run, in resumable steps.

A recipe is a file in ``data/recipes/`` (`recipe`): which files, from where, under which terms, and
the options of the steps. `chain` runs the steps, which are functions of `genotypes` and `tables`;
`tools` calls the programs that they need.
"""
