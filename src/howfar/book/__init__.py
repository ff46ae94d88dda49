"""TODO howfar.book"""
