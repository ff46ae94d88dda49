"""TODO howfar.models.weights"""
