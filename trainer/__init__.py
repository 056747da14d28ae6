"""Packed LoRA fine-tuning of Gemma 2: dialogues → tokens → slots that train together → adapters.

Knows no Ray, Optuna or MLflow; importing it imports nothing heavy.
"""
