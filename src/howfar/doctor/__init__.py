"""TODO howfar.doctor"""
