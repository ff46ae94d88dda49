"""TODO howfar.core"""
