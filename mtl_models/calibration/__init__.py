"""Calibrators: from a trained model's logits to logits whose probabilities hold, fitted on validation."""
