"""The board of models: public tasks, bundles of predictions for them, and their scores."""
