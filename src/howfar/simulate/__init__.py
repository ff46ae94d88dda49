"""TODO howfar.simulate"""
