"""How good answers are: predictions, metrics, baselines, the evaluation report and the model card; NumPy and pandas only."""
